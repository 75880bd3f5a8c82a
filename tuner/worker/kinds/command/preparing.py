"""A look at a command before its study is created: an error here would fail every trial."""

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tuner.study_file.kinds.command.placeholders import is_interpreter, names_in
from tuner.worker.bad_code import BadCode
from tuner.worker.objective import Prepared

_MAX_BYTES = 20_000_000  # of a file that is hashed


def prepare_command(request: Mapping[str, Any]) -> Prepared:
    """Check that program and script exist; return the hashes of the named files."""
    command: list[str] = request["command"]
    folder = Path(request["folder"])
    _check_program(command[0], folder)
    _check_script(command, folder)
    return Prepared(
        folder="",
        fingerprint="",
        metrics=None,
        summary=f"command {' '.join(command)}"[:200],
        code=hash_named(command, request["config"], folder),
    )


def _check_program(program: str, folder: Path) -> None:
    if names_in(program):
        return
    path = str(folder / program) if "/" in program else program
    if shutil.which(path) is None:
        hint = "" if "/" in program else ' in PATH; "{python}" is the Python that runs tuner'
        raise BadCode(f"there is no program {program} on this machine{hint}")


def _check_script(command: list[str], folder: Path) -> None:
    """Check the script of an interpreter: its own error would fail every trial."""
    if len(command) < 2 or not is_interpreter(command[0]) or command[1].startswith("-"):
        return
    if not names_in(command[1]) and not os.path.exists(folder / command[1]):
        raise BadCode(f"there is no file {folder / command[1]}, which the command runs")


def hash_named(command: Sequence[str], config: str | None, folder: Path) -> dict[str, str]:
    """Return the sha256 of each file below the folder that the command names."""
    return dict(_hashes(command, config, folder))


def _hashes(command: Sequence[str], config: str | None, folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the sha256 of each file below the folder that the command names."""
    root = folder.resolve()
    for word in sorted({*command, *([config] if config else [])}):
        path = folder / word
        try:
            is_own = not names_in(word) and path.resolve().is_relative_to(root) and path.is_file()
            if is_own and path.stat().st_size <= _MAX_BYTES:
                yield word, hashlib.sha256(path.read_bytes()).hexdigest()
        except (OSError, ValueError):
            continue
