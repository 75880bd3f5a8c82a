"""The files that a study file names, found on this machine."""

import difflib
import glob
import os
from pathlib import Path

from tuner.training.data.source import BadData

CSV_FORM = {"delimiter": ",", "encoding": "utf-8", "decimal": "."}  # unless a file sets it


def find_files(given: str, folder: Path) -> list[Path]:
    """Return the file of a path, or all files of a pattern, sorted; raises `BadData`."""
    place = os.path.join(folder, given)
    if glob.has_magic(given):
        found = sorted(Path(path) for path in glob.glob(place, recursive=True))
        files = [path for path in found if path.is_file()]
        if not files:
            raise BadData(f"no file matches {given} in {folder}")
        return files
    path = Path(place)
    if path.is_dir():
        raise BadData(f"{given} is a folder; name its files, such as {given.rstrip('/')}/*")
    if not path.exists():
        raise BadData(f"there is no file {path}{_guess(path)}")
    return [path]


def find_folder(given: str, folder: Path) -> Path:
    """Return a folder; raises `BadData`."""
    path = Path(os.path.join(folder, given))
    if path.is_file():
        raise BadData(f"{given} is a file; name the folder that holds the files")
    if not path.is_dir():
        raise BadData(f"there is no folder {path}{_guess(path)}")
    return path


def _guess(path: Path) -> str:
    try:
        names = os.listdir(path.parent)
    except OSError:
        return ""
    close = difflib.get_close_matches(path.name, names, n=1)
    return f"; did you mean {close[0]}?" if close else ""
