"""`python -m tuner.worker train|prepare|inspect`: loads only what the command needs.

Messages come on standard input and go to standard output; standard error is the log.
"""

import gc
import sys
from importlib import import_module

from tuner.worker.program import hide_ours
from tuner.worker.reaper import under_reaper
from tuner.worker.streams import take_streams

_COMMANDS = {"train": "tuner.worker.train", "prepare": "tuner.worker.prepare"} | {
    "inspect": "tuner.worker.inspect"
}


def main(arguments: list[str]) -> int:
    """Run a command; its exit code."""
    if not arguments or arguments[0] not in _COMMANDS:
        sys.stderr.write(f"usage: python -m tuner.worker {'|'.join(_COMMANDS)}\n")
        return 2
    if arguments[0] == "train":
        under_reaper()
    hide_ours()
    streams = take_streams()
    # What is imported stays: to look for garbage meanwhile takes a quarter of the time.
    gc.disable()
    command = import_module(_COMMANDS[arguments[0]])
    gc.enable()
    code: int = command.main(arguments[1:], streams)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
