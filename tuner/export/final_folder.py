"""The folder of a final training: it belongs to one training, and one process at a time."""

import errno
import fcntl
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tuner.errors import RunFailed, UsageError
from tuner.export.files import write_whole
from tuner.training.folders import UnsafeFolder, check_private_folder, open_private_folder

CONFIG = "config.yaml"
CARD = "model-card.md"
METRICS = "metrics.json"
CURVES = "curves.html"
# As `write_whole` and `save_checkpoint` name unfinished files.
_UNFINISHED = re.compile(r"\.(checkpoint-\d+|[a-z-]+\.(yaml|json|html|md|safetensors))\.\w+")
ROWS = "# rows: "  # begins the line with the rows of the training


@contextmanager
def open_final_folder(folder: Path, config_text: str) -> Iterator[Path]:
    """Create the folder, or open it as the same training left it.

    Raises `UsageError` if it has other content, `RunFailed` if it cannot be written or another
    process trains in it.
    """
    with _in_words(folder):
        open_private_folder(folder)
    with _locked(folder, fcntl.LOCK_EX):
        _sweep(folder)
        if _is_unclaimed(folder, config_text):
            write_whole(folder / CONFIG, config_text, mode=0o600)
        yield folder


def look_at_final_folder(folder: Path, config_text: str) -> None:
    """Raise the errors of `open_final_folder` without any change."""
    with _in_words(folder):
        if not os.path.lexists(folder):
            above = next(path for path in folder.absolute().parents if os.path.lexists(path))
            if not above.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            _check_rights(above, os.W_OK | os.X_OK)
            return
        if not folder.is_dir():
            raise FileExistsError
        check_private_folder(folder)
    with _locked(folder, fcntl.LOCK_SH), _in_words(folder):
        _is_unclaimed(folder, config_text)
        if not is_done(folder):
            _check_rights(folder, os.R_OK | os.W_OK | os.X_OK)


def _check_rights(folder: Path, rights: int) -> None:
    """Check the present rights, and those of the file system."""
    if not os.access(folder, rights):
        raise PermissionError(errno.EACCES, f"{folder} is not writable")


@contextmanager
def _in_words(folder: Path) -> Iterator[None]:
    try:
        yield
    except UnsafeFolder as error:
        raise UsageError(str(error)) from error
    except FileExistsError:
        raise UsageError(f"{folder} is a file; name a folder with -o") from None
    except OSError as error:
        raise RunFailed(f"cannot use the folder {folder} ({error.strerror})") from error


@contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    with _in_words(folder):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunFailed(f"another tuner train works in {folder}") from None
        yield
    finally:
        os.close(descriptor)


def is_done(folder: Path) -> bool:
    """Return whether the card exists, which is written last."""
    return (folder / CARD).exists()


def read_metrics(folder: Path) -> dict[str, Any]:
    """Return the metrics of a complete training; raises `RunFailed` for a damaged file."""
    path = folder / METRICS
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RunFailed(f"{path} cannot be read; remove its folder and train again") from error
    return dict(found)


def _sweep(folder: Path) -> None:
    """Remove unfinished files of a killed process; the lock shows that no other is writing."""
    for path in folder.iterdir():
        if _UNFINISHED.fullmatch(path.name):
            path.unlink(missing_ok=True)


def _is_unclaimed(folder: Path, config_text: str) -> bool:
    """Return whether it is empty; raises `UsageError` unless it is, or holds the same training."""
    path = folder / CONFIG
    if path.exists():
        _compare(path, config_text)
        return False
    if any(not _UNFINISHED.fullmatch(found.name) for found in folder.iterdir()):
        raise UsageError(f"{folder} is not empty and no training of tuner; name another with -o")
    return True


def _training_of(text: str) -> list[str]:
    """Return the lines that define the training, without the time and state of the export."""
    lines = text.partition("\nprovenance:")[0].splitlines()
    return [line for line in lines if not line.startswith("#") or line.startswith(ROWS)]


def _compare(path: Path, config_text: str) -> None:
    """Refuse another training's folder, showing the first difference."""
    stored, given = _training_of(path.read_text(errors="replace")), _training_of(config_text)
    if stored == given:
        return
    pairs = [(a, b) for a, b in zip([*stored, ""], [*given, ""], strict=False) if a != b]
    before, now = pairs[0] if pairs else ("", "")
    raise UsageError(
        f"{path.parent} holds the training of another config ({before.strip()!r} there, "
        f"{now.strip()!r} here); name another folder with -o"
    )
