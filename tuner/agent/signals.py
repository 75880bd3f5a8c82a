"""Signals: the requests to stop, as events."""

import os
import queue
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from tuner.agent.echo import Asked
from tuner.agent.events import Event, StopAsked

# SIGUSR1 is what Slurm sends ahead of a time limit.
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


@contextmanager
def stop_on_signals(inbox: "queue.SimpleQueue[Event]") -> Iterator[None]:
    """While this lasts, a stop signal becomes an event instead of an exception.

    After a stop that was asked for, one more signal ends the process at once, with the exit code
    of the first: nothing is left to hand back then.
    """
    asked = Asked()

    def note(number: int, _frame: FrameType | None) -> None:
        if asked.hear(number):
            inbox.put(StopAsked(signal=signal.Signals(number).name))

    def leave(number: int, _frame: FrameType | None) -> None:
        if asked.hear(number):
            os._exit(130 if asked.first == signal.SIGINT else 143)

    before = {number: signal.signal(number, note) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if asked.first is None else leave)
