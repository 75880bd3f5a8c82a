"""`python -m tuner.worker train --read-fd R --write-fd W`: one device's training process."""

import argparse
import logging
import sys

from tuner.messages import Setup
from tuner.worker.loop import Worker
from tuner.worker.objectives.trainer import TrainerObjective, warm_up
from tuner.worker.pipe import Pipe, Terminated
from tuner.worker.process import settle


def main(arguments: list[str]) -> int:
    """Train what the agent sends; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tuner.worker train")
    parser.add_argument("--read-fd", type=int, required=True)
    parser.add_argument("--write-fd", type=int, required=True)
    options = parser.parse_args(arguments)
    # The log belongs to the agent: it reads this process's standard error.
    logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    pipe = Pipe(options.read_fd, options.write_fd)
    settle(pipe.terminate)
    pipe.start()
    warm_up()  # the agent starts workers early: this overlaps with the start of its database
    setup = _wait_for_setup(pipe)
    if setup is None:
        return 0
    return Worker(setup, pipe, TrainerObjective(setup)).run()


def _wait_for_setup(pipe: Pipe) -> Setup | None:
    """The first message, or None when SIGTERM came instead."""
    while True:
        match pipe.receive(None):
            case Setup() as setup:
                return setup
            case Terminated():
                return None
            case message:
                logging.getLogger(__name__).warning("ignored %r before the setup", message)
