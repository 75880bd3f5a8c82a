"""`python -m tuner.worker COMMAND`, which loads only the modules of the command.

Messages come on standard input and go to standard output; standard error is the log.
"""

import gc
import sys
from collections.abc import Callable

from tuner.worker.program import hide_ours
from tuner.worker.streams import Streams, take_streams

_COMMANDS = ("template", "prepare", "look", "baseline")


def main(arguments: list[str]) -> int:
    """Run a command; return its exit code."""
    if not arguments or arguments[0] not in _COMMANDS:
        sys.stderr.write(f"usage: python -m tuner.worker {'|'.join(_COMMANDS)}\n")
        return 2
    hidden = hide_ours()
    if arguments[0] == "template":
        from tuner.worker import template  # noqa: PLC0415 - the others load less

        return template.main(arguments[1:], hidden)
    streams = take_streams()
    # Imported modules stay: collecting garbage during the import takes a quarter of the time.
    gc.disable()
    command = _load(arguments[0])
    gc.enable()
    return command(arguments[1:], streams)


def _load(command: str) -> Callable[[list[str], Streams], int]:
    if command == "look":
        from tuner.worker.look import main  # noqa: PLC0415 - loads NumPy
    elif command == "baseline":
        from tuner.worker.baseline import main  # noqa: PLC0415 - loads torch and scikit-learn
    else:
        from tuner.worker.prepare import main  # noqa: PLC0415
    return main


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
