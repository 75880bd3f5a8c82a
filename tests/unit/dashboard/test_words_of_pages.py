"""Cells, entries of a study file, addresses: what leaves a page."""

import csv
import io
import math

import pytest
from ruamel.yaml import YAML

from tuner.dashboard import words
from tuner.dashboard.trial_page import compare
from tuner.dashboard.trials_page import csv_cell, parse_view
from tuner.errors import UsageError
from tuner.study.secrets import remember


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "=cmd|' /C calc'!A0"]
)
def test_text_that_a_spreadsheet_would_run_is_quoted(text):
    assert csv_cell(text).startswith("'")


@pytest.mark.parametrize("value", [-1.5, -3, 1e-9, 12])
def test_numbers_stay_numbers(value):
    assert float(csv_cell(value)) == value


def test_plain_text_stays_as_it_is():
    assert csv_cell("rung 9: rank 14 of 20") == "rung 9: rank 14 of 20"
    assert csv_cell(None) == ""
    assert csv_cell(True) == "true"


def test_control_characters_and_passwords_do_not_leave():
    remember("hunter2hunter2")
    assert words.clean("a\x1b[31mb hunter2hunter2\0") == "a\ufffd[31mb ***\ufffd"


def test_an_entry_is_read_back_as_the_same_params():
    params = {"lr": 1e-05, "n": 3, "act": "re: lu", "flag": True, "none": None, "we ird": 'a"\\b',
              "no": "no"}  # fmt: skip
    (read,) = YAML(typ="safe").load(words.as_yaml(params))
    assert read == params


@pytest.mark.parametrize("version", [(1, 1), (1, 2)])
def test_names_and_numbers_are_read_back_by_every_version_of_yaml(version):
    names = ("null", "true", "on", "Yes", "no", "~", "y", "N", "12", "1e5", "_1", "a.b", ".inf",
             "0x1f", "1_000", "\u00fc", "")  # fmt: skip
    params = {**{name: name for name in names}, "inf": math.inf, "low": -math.inf,
              "small": 1e-05, "large": 1e300, "odd": 1.5e-7, "n": -3}  # fmt: skip
    yaml = YAML(typ="safe", pure=True)
    yaml.version = version
    (read,) = yaml.load(words.as_yaml(params))
    assert read == params
    assert {name: type(value) for name, value in read.items()} == {
        name: type(value) for name, value in params.items()
    }
    assert math.isnan(yaml.load(words.as_yaml({"x": math.nan}))[0]["x"])


def test_differences_are_told_in_the_words_of_the_scale():
    lines = compare(
        {"lr": 0.01, "n": 3, "act": "relu", "only": 1}, {"lr": 0.005, "n": 5, "act": "relu", "b": 2}
    )
    told = {line.name: line.difference for line in lines}
    assert told == {"lr": "2x", "n": "-2", "act": "same", "only": "other", "b": "other"}


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"where": "lr<"}, "expected a value"),
        ({"where": "<1"}, "expected a name"),
        ({"state": "done"}, "no state"),
        ({"where": "value<1" + "1" * 400}, "too large"),
        ({"where": "value=" + "1" * 5000}, "too large"),
        ({"where": "state<3"}, "= and !="),
        ({"sort": "value:up"}, "write a field"),
        ({"page": "0"}, "whole number"),
        ({"page": "9" * 400}, "whole number"),
        ({"page": "\u0661"}, "whole number"),
        ({"where": ",".join(["a<1"] * 21)}, "at most 20"),
    ],
)
def test_an_address_that_makes_no_sense_is_a_sentence(query, said):
    with pytest.raises(UsageError, match=said):
        parse_view(query)


def test_an_address_leads_to_the_same_view_again():
    view = parse_view({"where": "lr<0.1, n=3", "state": "complete", "sort": "value", "page": "2"})
    assert view.query(page=3) == "?where=lr%3C0.1%2C+n%3D3&state=complete&sort=value&page=3"
    assert view.sorted_by("value") == "?where=lr%3C0.1%2C+n%3D3&state=complete&sort=value%3Adesc"
    assert view.order_of("value") == "ascending"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.04, "0.0 s"), (9.9, "9.9 s"), (59.9, "59.9 s"), (60, "1 min 0 s"), (3600, "1 h 0 min"),
     (90_000, "1 d 1 h"), (None, "-")],
)  # fmt: skip
def test_durations_are_told_in_two_units(seconds, said):
    assert words.duration(seconds) == said


def test_csv_of_hostile_cells_is_read_back_as_one_cell_each():
    text = io.StringIO()
    csv.writer(text).writerow([csv_cell('a,"b"\n=1'), csv_cell("-1,2")])
    assert next(csv.reader(io.StringIO(text.getvalue()))) == ['a,"b"\n=1', "'-1,2"]
