"""Signals become events; what a wrapper passes on as well counts once."""

import os
import queue
import signal
from typing import Any

import pytest

from tuner.agent import echo
from tuner.agent.events import StopAsked
from tuner.agent.signals import stop_on_signals
from tuner.signals import exit_code


class Clock:
    """Stands still until it is moved."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 5.0
        monkeypatch.setattr(echo, "monotonic", lambda: self.now)


def _heard(inbox: "queue.SimpleQueue[Any]") -> list[str]:
    found = []
    while not inbox.empty():
        event = inbox.get()
        assert isinstance(event, StopAsked)
        found.append(event.signal)
    return found


def _send(*numbers: signal.Signals) -> None:
    for number in numbers:
        os.kill(os.getpid(), number)


def test_an_echo_counts_once_and_a_second_signal_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, inbox = Clock(monkeypatch), queue.SimpleQueue[Any]()
    before = signal.getsignal(signal.SIGINT)
    with stop_on_signals(inbox):
        _send(signal.SIGINT, signal.SIGINT)
        clock.now += 0.4
        _send(signal.SIGINT)
        assert _heard(inbox) == ["SIGINT"]
        _send(signal.SIGTERM)
        assert _heard(inbox) == ["SIGTERM"], "another one is no echo"
        clock.now += 0.1
        _send(signal.SIGINT)
        assert _heard(inbox) == ["SIGINT"]
    signal.signal(signal.SIGINT, before)


def test_an_echo_after_the_end_of_the_work_does_not_cut_the_rest_short(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, inbox = Clock(monkeypatch), queue.SimpleQueue[Any]()
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with stop_on_signals(inbox):
            _send(signal.SIGINT)
        _send(signal.SIGINT)
        assert codes == []
        clock.now += 0.6
        _send(signal.SIGINT)
        assert codes == [130]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_hangups_after_the_first_signal_are_no_impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed terminal sends SIGHUP, and its shell once more."""
    clock, inbox = Clock(monkeypatch), queue.SimpleQueue[Any]()
    before = {n: signal.getsignal(n) for n in (signal.SIGHUP, signal.SIGTERM)}
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # `nohup pytest` ignores it
    with stop_on_signals(inbox):
        _send(signal.SIGHUP)
        clock.now += 3
        _send(signal.SIGHUP)
        assert _heard(inbox) == ["SIGHUP"]
        _send(signal.SIGTERM)
        assert _heard(inbox) == ["SIGTERM"]
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_hangup_that_was_ignored_at_the_start_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    inbox = queue.SimpleQueue[Any]()
    try:
        with stop_on_signals(inbox):
            _send(signal.SIGHUP)
        assert _heard(inbox) == []
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_exit_codes_of_signals() -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
    assert [exit_code(number) for number in numbers] == [130, 143, 143, 143]
