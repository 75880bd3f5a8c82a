"""Words and tables for people."""

import pytest

from tuner.cli.text.control import render_start
from tuner.cli.text.words import (
    clean,
    count,
    cut,
    one_line,
    render_table,
    render_value,
    wrap,
)
from tuner.study.durations import render_seconds


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
        (None, "null"),
        ("null", '"null"'),
        ("1", '"1"'),
        ("true", '"true"'),
        ("", '""'),
        ("no", "no"),
        ("1" * 5000, f'"{"1" * 5000}"'),
        ('"null"', '"\\"null\\""'),
        (True, "true"),
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


def test_columns_that_do_not_fit_follow_below_with_the_first_one_again():
    table = render_table(
        ["trial", "state", "learning_rate", "reason"],
        [["0", "COMPLETE", "7.7333e-06", ""], ["1", "FAIL", "0.01", "out of memory"]],
        width=30,
    )
    assert table.split("\n") == [
        "trial  state     learning_rate",
        "    0  COMPLETE     7.7333e-06",
        "    1  FAIL               0.01",
        "",
        "trial  reason",
        "    0",
        "    1  out of memory",
    ]


@pytest.mark.parametrize("width", [1, 8, 20, 40, 80, 200])
def test_no_width_takes_a_digit_from_a_number_or_a_column_from_a_table(width):
    header = ["trial", *(f"param_{n}" for n in range(12)), "reason"]
    rows = [
        [str(t), *(render_value(1.23456e-7 * (n + 1)) for n in range(12)), "went wrong " * 9]
        for t in range(3)
    ]
    shown = wrap(render_table(header, rows, width), width).split()
    for cell in [*header, *(cell for row in rows for cell in row[:-1])]:
        assert cell in shown


def test_a_line_is_cut_where_a_word_ends():
    assert cut("step 12/27 val_loss 0.071234", 25) == "step 12/27 val_loss…"
    assert cut("step 12/27", 10) == "step 12/27"
    assert cut("unbroken", 4) == "unb…"


def test_an_agent_starts_from_the_database_unless_the_study_needs_its_file():
    assert render_start("digits", needs_study_file=False) == (
        "no agent is at work; tuner run --study digits on any machine"
    )
    assert "tuner run STUDY.yaml on" in render_start("digits", needs_study_file=True)
