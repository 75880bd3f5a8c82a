"""The environment of the user's code: that of an ordinary program."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from tuner.study.secrets import clean_environment
from tuner.worker.forks import release_forks


def begin_program(file: str) -> None:
    """Make `file` the program that was started, without arguments."""
    sys.argv[:] = [file]


def search_first(folder: str) -> None:
    """Search this folder for modules first, as for a program in it."""
    if folder in sys.path:
        sys.path.remove(folder)
    sys.path.insert(0, folder)


def find_module_file(name: str) -> str:
    """Return the file of a module by its dotted name, without importing its package.

    Return the name itself if no file is found: importing it shows the error.
    """
    top, *parts = name.split(".")
    try:
        spec = find_spec(top)
    except ValueError:
        return name  # such as `__main__`
    file = spec.origin if spec is not None else None
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    for part in parts:
        inside = [Path(place, part) for place in places]
        files = [
            found for path in inside for found in (path / "__init__.py", path.with_suffix(".py"))
        ]
        file = next((str(found) for found in files if found.is_file()), None)
        places = [str(path) for path in inside]
    return file or name


def hide_ours() -> dict[str, str]:
    """Remove tuner's arguments and the variables hidden from user code; return the latter."""
    del sys.argv[1:]
    kept = clean_environment(os.environ)
    hidden = {name: value for name, value in os.environ.items() if name not in kept}
    for name in hidden:
        del os.environ[name]
    return hidden


@contextmanager
def as_program() -> Iterator[None]:
    """Run the user's code in this process; restore everything afterwards.

    It sees none of tuner's arguments, and no variable that opens the database.
    """
    release_forks()
    arguments, places = sys.argv[:], sys.path[:]
    hidden = hide_ours()
    try:
        yield
    finally:
        sys.argv[:], sys.path[:] = arguments, places
        os.environ.update(hidden)
