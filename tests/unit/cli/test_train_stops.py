"""Ctrl-C in `tuner train`: once saves, twice leaves, and a wrapper's copy is no second time."""

import signal

import pytest

from tuner.agent import echo
from tuner.cli.commands.train import _Stop
from tuner.cli.screen.progress_line import ProgressLine


def test_a_copy_of_the_first_signal_does_not_keep_it_from_saving(monkeypatch, capsys):
    now = 5.0
    monkeypatch.setattr(echo, "monotonic", lambda: now)
    stop = _Stop(ProgressLine("val_loss", has_best=True))
    stop.hear(signal.SIGINT, None)
    stop.hear(signal.SIGINT, None)
    assert stop.event.is_set()
    assert capsys.readouterr().err.count("saving after this step") == 1
    now += 0.5
    with pytest.raises(KeyboardInterrupt):
        stop.hear(signal.SIGINT, None)
