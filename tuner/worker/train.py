"""The training process of a device."""

import faulthandler
import logging
import multiprocessing
import os
import sys

from tuner.messages import Setup
from tuner.worker.loop import Worker
from tuner.worker.objective import Training
from tuner.worker.pipe import Pipe, Terminated
from tuner.worker.process import settle
from tuner.worker.streams import Streams

EXIT_SECONDS = 5.0  # for the exit functions of the user's code


def train(training: Training, streams: Streams) -> int:
    """Train the agent's trials; return the exit code."""
    _log_to_stderr()
    pipe = Pipe(streams.read_fd, streams.write_fd)
    settle(pipe.terminate)
    pipe.start()
    training.warm_up()  # the agent may still be opening its database
    setup = _wait_for_setup(pipe)
    if setup is None:
        return 0
    # It was started before it was known for which device; CUDA reads this at its first use.
    os.environ.update(setup.environment)
    training.set_threads(setup.n_threads)
    if not training.is_program:
        return Worker(setup, pipe, training.build(setup)).run()
    # Not `sys.stdout`: the user's code may have replaced it in the template.
    sys.__stdout__.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    code = Worker(setup, pipe, training.build(setup)).run()
    # Files are flushed and exit functions run, as in any program; leftovers of the user's code,
    # such as a thread, must not hold the device for long.
    faulthandler.dump_traceback_later(EXIT_SECONDS, exit=True, file=2)
    for child in multiprocessing.active_children():
        child.terminate()
    return code


def _log_to_stderr() -> None:
    """Log tuner's lines alone: with a handler at the root, a library's lines would appear twice."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    ours = logging.getLogger("tuner")
    ours.addHandler(handler)
    ours.propagate = False


def _wait_for_setup(pipe: Pipe) -> Setup | None:
    """Return the first message, or None when SIGTERM came instead."""
    while True:
        match pipe.receive(None):
            case Setup() as setup:
                return setup
            case Terminated():
                return None
            case message:
                logging.getLogger(__name__).warning("ignored %r before the setup", message)
