"""The folder that a worker shares with the ranks of a trial, and how torchrun is started in it."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tuner.study_file.kinds.command.placeholders import find_python_program
from tuner.trial.ends import Mistake

PLACE = "TUNER_RANKS"  # variable of a rank with the folder
START = "start.jsonl"  # the messages `Setup` and `Start`
SOCKET = "lane"  # between the first rank and the worker
CLOSING = "closing"  # exists once torchrun ends the ranks
_FAILED = "failed.json"
_LOGS = "logs"
_LAUNCHER = Path(__file__).with_name("launcher.py")
_TAIL = 4000  # characters


@dataclass(frozen=True, kw_only=True)
class Failed:
    """The rank that failed first, as torchrun has noticed it."""

    rank: int
    exit_code: int  # negative: the signal that ended it


def read_failed(folder: Path) -> Failed | None:
    """Return the rank that failed first, if one did."""
    try:
        return Failed(**json.loads((folder / _FAILED).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def failure_file(folder: Path, rank: int) -> Path:
    """Return the file into which a rank of a function writes how it failed."""
    return folder / f"failure-{rank}.json"


def in_ranks(command: Sequence[str], n_ranks: int, folder: Path) -> list[str]:
    """Return a command of a Python program, `[python, ..., script or -m, ...]`, under torchrun.

    The output of the first rank is printed, and that of the others is kept in the folder. Raises
    `Mistake` for another command.
    """
    n = find_python_program(command)
    if n is None:
        raise Mistake(
            f"torchrun starts a script of Python or `-m module`, and no {command[0]}; let the "
            "command start its own processes, with processes_per_trial: 1"
        )
    others = ",".join(f"{rank}:3" for rank in range(1, n_ranks))
    return [
        *(*command[:n], str(_LAUNCHER), str(folder / CLOSING), str(folder / _FAILED)),
        *("--standalone", "--nproc-per-node", str(n_ranks)),
        *("--log-dir", os.path.join(folder, _LOGS), "--redirects", others),
        *command[n:],
    ]


def tail_of(folder: Path, rank: int) -> str:
    """Return the end of the output of a rank that is not printed; empty for the first one."""
    parts = []
    for name in ("stdout", "stderr"):
        for path in sorted((folder / _LOGS).glob(f"**/{rank}/{name}.log")):
            text = path.read_text(errors="replace")[-_TAIL:]
            parts += [f"--- {name} of rank {rank}\n{text}"] if text.strip() else []
    return "\n".join(parts)
