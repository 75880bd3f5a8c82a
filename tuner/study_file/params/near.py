"""Beliefs: `near: 1e-3` or `near: {range: [3e-4, 3e-3]}` of a range, `near: adam` of a choice."""

from tuner.study.trial import ParamValue
from tuner.study_file.params.ranges import read_ends
from tuner.study_file.params.space import Choice, FloatRange, IntRange, Near, Range
from tuner.study_file.text.faults import listed
from tuner.study_file.text.intervals import Interval
from tuner.study_file.text.items import (
    Item,
    Keys,
    describe,
    has_refused_key,
    read_float,
    read_int,
    read_section,
)
from tuner.study_file.text.yaml_nodes import ListNode, MapNode, ScalarNode
from tuner.study_file.text.yaml_text import render_inline

_KEYS = Keys(allowed=("range",), hints={})


def read_near(item: Item, given: Range) -> Near | None:
    """Read where good values are expected; a fault and None if it does not fit the range."""
    if isinstance(given, Choice):
        return _read_choice(item, given)
    if isinstance(item.node, MapNode):
        return _read_range(item, given)
    if isinstance(item.node, ListNode):
        item.fault("must be one number, or {range: [low, high]}")
        return None
    value = _read_number(item, given)
    return None if value is None else Near(values=(value,))


def _read_choice(item: Item, given: Choice) -> Near | None:
    value: ParamValue = item.node.value if isinstance(item.node, ScalarNode) else None
    is_one = isinstance(item.node, ScalarNode) and any(
        type(choice) is type(value) and choice == value for choice in given.choices
    )
    if is_one:
        return Near(values=(value,))
    choices = listed([render_inline(choice) for choice in given.choices])
    item.fault(f"must be one of the choices {choices}, not {describe(item.node)}")
    return None


def _read_range(item: Item, given: FloatRange | IntRange) -> Near | None:
    section = read_section(item, _KEYS)
    if section is None:
        return None
    if "range" not in section:
        if not has_refused_key(item, section):
            item.fault("has no range; write {range: [low, high]}")
        return None
    ends = read_ends(section["range"])
    if ends is None:
        return None
    low, high = (_read_number(end, given) for end in ends)
    if low is None or high is None:
        return None
    if low > high:
        ends[0].fault(f"low ({low}) is greater than high ({high}); swap them")
        return None
    return Near(values=(low, high))


def _read_number(item: Item, given: FloatRange | IntRange) -> float | None:
    inside = Interval(low=given.low, high=given.high)
    return read_int(item, inside) if isinstance(given, IntRange) else read_float(item, inside)
