"""Signals that ask the agent to stop, as events."""

import os
import queue
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from tuner.agent.echo import Asked
from tuner.agent.events import Event, StopAsked
from tuner.signals import exit_code, stop_signals


def agent_signals() -> tuple[signal.Signals, ...]:
    """Return the signals that stop an agent; Slurm sends SIGUSR1 ahead of a time limit."""
    return (*stop_signals(), signal.SIGUSR1)


@contextmanager
def stop_on_signals(inbox: "queue.SimpleQueue[Event]") -> Iterator[None]:
    """Turn stop signals into events instead of exceptions.

    After a requested stop, one more signal ends the process at once, with the exit code of the
    first: nothing is left to release then.
    """
    asked = Asked()

    def note(number: int, _frame: FrameType | None) -> None:
        if asked.hear(number):
            inbox.put(StopAsked(signal=signal.Signals(number).name))

    def leave(number: int, _frame: FrameType | None) -> None:
        if asked.hear(number):
            assert asked.first is not None
            os._exit(exit_code(asked.first))

    before = {number: signal.signal(number, note) for number in agent_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if asked.first is None else leave)
