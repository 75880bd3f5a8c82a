"""Durations as people write them."""

import pytest

from tuner.study_file.text.durations import parse_duration, render_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1800), ("12h", 43200), ("1d12h", 129600), ("1h30m", 5400), ("0.5s", 0.5)],
)
def test_a_duration_is_the_sum_of_its_parts(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "30", "s", "1.5h", "-1s", "12h1d", "1s1s", "30 s", "1H", "٣s", "9" * 100 + "s"]
)
def test_anything_else_is_none(text):
    assert parse_duration(text) is None


@pytest.mark.parametrize("text", ["90s", "2m30s", "1d12h", "0.5s", "0s", "12h"])
def test_a_rendered_duration_reads_back(text):
    seconds = parse_duration(text)
    assert seconds is not None
    assert parse_duration(render_duration(seconds)) == seconds
