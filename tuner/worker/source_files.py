"""The files of an objective's code, and their hashes."""

import hashlib
import os
import sys
import sysconfig
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from tuner.study.code import Code

FileState = tuple[int, int]  # when it was changed, in nanoseconds, and its size in bytes
_HERE = Path(__file__).parents[1]  # our own package
_OURS = f"{_HERE}{os.sep}"
_STANDARD = f"{sysconfig.get_path('stdlib')}{os.sep}"
_LIBRARIES = {"site-packages", "dist-packages"}
_kept: dict[tuple[str, str], Code] = {}  # hashes of modules that the template has imported


def hash_sources(module_name: str, folder: str) -> dict[str, str]:
    """Return the sha256 of each file that `find_sources` returns."""
    hashes = {}
    for shown, file in sorted(find_sources(module_name, folder).items()):
        with suppress(OSError):  # gone since it was imported
            hashes[shown] = _hash(file)
    return hashes


def hash_again(module_name: str, folder: str, before: Code) -> Code:
    """Return the hashes of a module that was imported again, quickly if no file has changed.

    `before`: those of the import before. A look at all modules takes a fork 8 ms, because it copies
    the pages that these share with the template.
    """
    if (module_name, folder) in _kept:
        return _kept[module_name, folder]
    roots = _roots(module_name, folder)
    if before and all(_hash_below(roots, name) == sha256 for name, sha256 in before.items()):
        return before
    return hash_sources(module_name, folder)


def keep_hashes(module_name: str, folder: str) -> None:
    """Remember the content with which a module was imported: forks run it, whatever follows."""
    _kept[module_name, folder] = hash_sources(module_name, folder)


def _hash(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _hash_below(roots: Iterable[Path], name: str) -> str:
    for root in roots:
        with suppress(OSError):
            return _hash(root / name)
    return ""


def _roots(module_name: str, folder: str) -> list[Path]:
    """Return the folders whose modules are the user's."""
    roots = [Path(folder), Path(folder).resolve()]
    if module_name.endswith(".py"):
        roots.append(Path(folder, module_name).resolve().parent)
    return roots


def find_sources(module_name: str, folder: str) -> dict[str, Path]:
    """Return each of the user's files that has been imported so far.

    These are the modules below the study file's folder, or next to the target of a link there, and
    those of the objective's own package, wherever that is installed; libraries are not included.
    Names are relative, so that they are the same on every machine: "train.py", "mylab/nets.py".
    """
    roots = _roots(module_name, folder)
    package = "" if module_name.endswith(".py") else module_name.partition(".")[0]
    found = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not isinstance(file, str) or not file.endswith(".py"):
            continue
        is_own = bool(package) and (name == package or name.startswith(f"{package}."))
        if not is_own and (file.startswith(_OURS) or _is_library(file, roots)):
            continue
        path = _path_below(Path(file), roots)
        if path is not None and not _LIBRARIES & set(path.parts):
            found[path.as_posix()] = Path(file)
        elif path is None and is_own:
            found[name.replace(".", "/") + ".py"] = Path(file)
    return found


def file_states(files: Iterable[Path]) -> dict[Path, FileState]:
    """Return time and size of files, by which a change is seen; those that are gone are missing."""
    states = {}
    for file in files:
        with suppress(OSError):
            found = file.stat()
            states[file] = (found.st_mtime_ns, found.st_size)
    return states


def _is_library(file: str, roots: list[Path]) -> bool:
    """Return whether it is quickly seen: there are thousands, and each trial looks at all."""
    is_below = any(file.startswith(f"{root}{os.sep}") for root in roots)
    return not is_below and (file.startswith(_STANDARD) or "site-packages" in file)


def _path_below(file: Path, roots: list[Path]) -> Path | None:
    """Return a file's path relative to the first root that holds it."""
    for path in (file, file.resolve()):
        for root in roots:
            if path.is_relative_to(root) and not path.is_relative_to(_HERE):
                return path.relative_to(root)
    return None
