"""Signals: the requests to stop, as events."""

import queue
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from tuner.agent.events import Event, StopAsked

# SIGUSR1 is what Slurm sends ahead of a time limit.
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


@contextmanager
def stop_on_signals(inbox: "queue.SimpleQueue[Event]") -> Iterator[None]:
    """While this lasts, a stop signal becomes an event instead of an exception."""

    def note(number: int, _frame: FrameType | None) -> None:
        inbox.put(StopAsked(signal=signal.Signals(number).name))

    before = {number: signal.signal(number, note) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
