"""Scalars by the YAML 1.2 core schema, and positions."""

import math

import pytest

from tuner.study_file.text.faults import Faults
from tuner.study_file.text.yaml_nodes import ListNode, MapNode, ScalarNode, compose
from tuner.study_file.text.yaml_text import core_value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-5", 1e-5),
        ("1E5", 1e5),
        ("1.", 1.0),
        (".5", 0.5),
        ("-.5e+3", -500.0),
        ("012", 12),
        ("0o17", 15),
        ("0xff", 255),
        ("+3", 3),
        ("no", "no"),
        ("yes", "yes"),
        ("off", "off"),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("2020-01-01", "2020-01-01"),
        ("True", True),
        ("tRUE", "tRUE"),
        ("~", None),
        ("NULL", None),
        ("", None),
        ("-.inf", -math.inf),
        ("٣", "٣"),  # a digit of another script
    ],
)
def test_a_plain_scalar_means_what_yaml_1_2_says(text, value):
    assert core_value(text) == value
    assert type(core_value(text)) is type(value)


def test_not_a_number_is_read():
    value = core_value(".nan")
    assert isinstance(value, float)
    assert math.isnan(value)


def test_every_key_and_value_knows_its_place():
    faults = Faults()
    node = compose("a: 1\nb:\n  - x\n  - 'no'\n", faults)
    assert not faults
    assert isinstance(node, MapNode)
    (a, one), (_, items) = node.entries
    assert (a.text, a.line, a.column) == ("a", 1, 1)
    assert isinstance(one, ScalarNode)
    assert (one.value, one.line, one.column) == (1, 1, 4)
    assert isinstance(items, ListNode)
    assert [(item.line, item.column) for item in items.items] == [(3, 5), (4, 5)]


def test_quoted_scalars_are_text():
    node = compose("a: '1'", Faults())
    assert isinstance(node, MapNode)
    assert node.entries[0][1].value == "1"
