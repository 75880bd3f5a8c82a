"""torchrun, which also writes who failed first: `launcher.py CLOSING FAILED ARGUMENT...`.

CLOSING: a file to create once torchrun ends the ranks. FAILED: one for the number and the exit code
of the rank that failed first. The arguments are torchrun's. The interpreter is that of the user's
program, which may not have tuner: nothing of it is imported here.
"""

import json
import sys
from pathlib import Path
from typing import Any

from torch.distributed import run
from torch.distributed.elastic.multiprocessing.api import PContext, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

_TERMINATED = -15  # torchrun ends the other ranks with it
_SHELL_SIGNAL = 128


def main(closing: Path, failed: Path, arguments: list[str]) -> int:
    """Run torchrun; return the exit code."""
    _note_closing(closing)
    try:
        run.main(arguments)
    except ChildFailedError as error:
        first, _ = error.get_first_failure()
        codes = {rank: failure.exitcode for rank, failure in error.failures.items()}
        # One that was killed makes the others fail: they lose the connection to it.
        killed = [rank for rank, code in codes.items() if code < 0 and code != _TERMINATED]
        rank = min(killed, default=first)
        failed.write_text(json.dumps({"rank": rank, "exit_code": codes[rank]}))
        return 1
    except SignalException as error:
        return _SHELL_SIGNAL + int(error.sigval)
    return 0


def _note_closing(mark: Path) -> None:
    close = PContext.close

    def close_noted(context: PContext, *arguments: Any, **more: Any) -> None:
        mark.touch()
        close(context, *arguments, **more)

    PContext.close = close_noted


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))
