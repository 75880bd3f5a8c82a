"""Words and tables for people."""

import pytest

from tuner.cli.text import clean, count, one_line, render_seconds, render_table, render_value


def test_control_characters_are_made_visible_and_lines_kept():
    assert clean("a\x1b[2Jb\rc\u202ed") == "a\ufffd[2Jb\ufffdc\ufffdd"
    assert clean("größe\n日本") == "größe\n日本"


def test_a_cell_is_one_line():
    assert one_line(" boom:\n\tno\x1b file ") == "boom: no\ufffd file"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.012345678, "0.012346"),
        (1e-7, "1e-07"),
        (2.0, "2.0"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (None, "None"),
        (True, "True"),
        (12, "12"),
        ("relu\x1b", "relu\ufffd"),
    ],
)
def test_values_are_short(value, text):
    assert render_value(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 0 s"),
        (60, "1 min 0 s"),
        (3599.4, "59 min 59 s"),
        (3599.6, "1 h 0 min"),
        (86_399, "23 h 59 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_durations_name_their_two_largest_units(seconds, text):
    assert render_seconds(seconds) == text


def test_nouns_follow_their_number():
    assert [count(n, "trial") for n in (0, 1, 2000)] == ["0 trials", "1 trial", "2,000 trials"]


def test_a_table_aligns_numbers_right_and_text_left():
    table = render_table(["n", "state", "value"], [["1", "PRUNED", "1.5"], ["10", "FAIL", ""]])
    assert table.split("\n") == [
        " n  state   value",
        " 1  PRUNED    1.5",
        "10  FAIL",
    ]


def test_a_table_without_rows_is_its_header():
    assert render_table(["trial", "state"], []) == "trial  state"
