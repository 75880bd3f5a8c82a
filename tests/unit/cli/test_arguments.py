"""Arguments as they are typed."""

import argparse

import pytest

from tuner.cli.parser import arguments


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (arguments.amount, "200", (200.0, False)),
        (arguments.amount, "+50", (50.0, True)),
        (arguments.duration, "1d12h", (129_600.0, False)),
        (arguments.duration, "+30m", (1800.0, True)),
        (arguments.duration, "1.5s", (1.5, False)),
        (arguments.hours, "+0.5", (1800.0, True)),
        (arguments.target, "-1e-3", (-0.001, False)),
        (arguments.trial_number, "0", 0),
    ],
)
def test_amounts_are_absolute_or_more(kind, text, value):
    assert kind(text) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        *((arguments.amount, text) for text in ("0", "-1", "1.5", "", "+", "++1", "²", "9" * 17)),
        *((arguments.duration, text) for text in ("12", "", "+", "h", "1h1d", "0s", "-1h", "1 h")),
        *((arguments.duration, text) for text in ("9" * 39 + "d", "1.5h")),
        *((arguments.hours, text) for text in ("0", "nan", "inf", "x", "-1", "1e99")),
        *((arguments.target, text) for text in ("nan", "inf", "", "x")),
        *((arguments.trial_number, text) for text in ("-1", "1.0", "9" * 10, "٣")),
        *((arguments.text, text) for text in ("\udcff", "a\0b")),
    ],
)
def test_anything_else_is_refused(kind, text):
    with pytest.raises(argparse.ArgumentTypeError):
        kind(text)
