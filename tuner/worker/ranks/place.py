"""The folder that a worker shares with the ranks of a trial, and how torchrun is started in it."""

import os
from collections.abc import Sequence
from pathlib import Path

from tuner.study_file.kinds.command.placeholders import find_python_program
from tuner.trial.ends import Mistake

PLACE = "TUNER_RANKS"  # variable of a rank with the folder
START = "start.jsonl"  # the messages `Setup` and `Start`
SOCKET = "lane"  # between the first rank and the worker
CLOSING = "closing"  # exists once torchrun ends the ranks
FAILED = "failed.json"
LOGS = "logs"
_LAUNCHER = Path(__file__).with_name("launcher.py")


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
        *(*command[:n], str(_LAUNCHER), str(folder / CLOSING), str(folder / FAILED)),
        *("--standalone", "--nproc-per-node", str(n_ranks)),
        *("--log-dir", os.path.join(folder, LOGS), "--redirects", others),
        *command[n:],
    ]
