"""The files of an objective's code, and their hashes."""

import hashlib
import sys
from pathlib import Path

_HERE = Path(__file__).parents[1]  # our own package
_LIBRARIES = {"site-packages", "dist-packages"}


def hash_sources(module_name: str, folder: str) -> dict[str, str]:
    """Return the sha256 of each of the user's files that has been imported so far.

    These are the modules below the study file's folder, or next to the target of a link there, and
    those of the objective's own package, wherever that is installed; libraries are not included.
    Names are relative, so that they are the same on every machine: "train.py", "mylab/nets.py".
    """
    roots = [Path(folder), Path(folder).resolve()]
    package = "" if module_name.endswith(".py") else module_name.partition(".")[0]
    if not package:
        roots.append(Path(folder, module_name).resolve().parent)
    hashes = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not isinstance(file, str) or not file.endswith(".py"):
            continue
        is_own = bool(package) and (name == package or name.startswith(f"{package}."))
        path = _path_below(Path(file), roots)
        if path is not None and not _LIBRARIES & set(path.parts):
            shown = path.as_posix()
        elif path is None and is_own:
            shown = name.replace(".", "/") + ".py"
        else:
            continue
        try:
            hashes[shown] = hashlib.sha256(Path(file).read_bytes()).hexdigest()
        except OSError:
            continue  # gone since it was imported
    return dict(sorted(hashes.items()))


def _path_below(file: Path, roots: list[Path]) -> Path | None:
    """Return a file's path relative to the first root that holds it."""
    for path in (file, file.resolve()):
        for root in roots:
            if path.is_relative_to(root) and not path.is_relative_to(_HERE):
                return path.relative_to(root)
    return None
