"""The code of a study: the objective's own files, by their hashes."""

from collections.abc import Mapping

Code = Mapping[str, str]  # "train.py" -> sha256 of the file; of the built-in trainer its version


def changed_files(stored: Code, given: Code) -> tuple[str, ...]:
    """Return the files that differ, including those that one side lacks."""
    names = sorted(stored.keys() | given.keys())
    return tuple(name for name in names if stored.get(name) != given.get(name))
