"""Items of a study file, value and path together, and the readers that check them.

A reader returns the value, or reports a fault and returns None. It skips a `BrokenNode`, whose
fault is reported already.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tuner.study.trial import ParamValue
from tuner.study_file.text.durations import parse_duration, render_duration
from tuner.study_file.text.faults import Faults, did_you_mean, listed, quote
from tuner.study_file.text.intervals import Interval
from tuner.study_file.text.yaml_nodes import (
    BrokenNode,
    ListNode,
    MapNode,
    Node,
    ScalarNode,
)
from tuner.study_file.text.yaml_text import core_value, meant_value


@dataclass(frozen=True, kw_only=True)
class Item:
    """A value in the file and its position."""

    node: Node
    key: Node | None = None  # None for the whole file and for items of lists
    path: str  # "search_space.lr.float[0]"
    faults: Faults = field(repr=False)

    def fault(self, message: str) -> None:
        """Report a fault in the value."""
        if not isinstance(self.node, BrokenNode):
            self.faults.add(self.node.line, self.node.column, self.path, message)

    def key_fault(self, message: str) -> None:
        """Report a fault in the key itself."""
        place = self.key or self.node
        self.faults.add(place.line, place.column, self.path, message)

    def warn(self, message: str) -> None:
        """Warn of a value that is allowed, but probably a mistake."""
        self.faults.warn(self.node.line, self.node.column, self.path, message)

    def key_warn(self, message: str) -> None:
        """Warn of a key that is allowed, but probably a mistake."""
        place = self.key or self.node
        self.faults.warn(place.line, place.column, self.path, message)


@dataclass(frozen=True, kw_only=True)
class Keys:
    """The keys that a mapping may have."""

    allowed: Sequence[str]
    later: Mapping[str, str] = field(default_factory=dict)  # planned key -> its present alternative
    hints: Mapping[str, str] = field(default_factory=dict)  # wrong key -> the right one


Section = Mapping[str, Item]


def read_section(item: Item, keys: Keys) -> Section | None:
    """Read the items of a mapping by key; unknown and unsupported keys are faults."""
    entries = read_entries(item, f"must be a mapping with {listed(keys.allowed)}")
    if entries is None:
        return None
    for name, entry in entries.items():
        if name not in keys.allowed:
            entry.key_fault(_refuse_key(name, keys))
    return {name: entry for name, entry in entries.items() if name in keys.allowed}


def _refuse_key(name: str, keys: Keys) -> str:
    if name in keys.later:
        return f"not supported yet; {keys.later[name]}"
    if name in keys.hints:
        return keys.hints[name]
    guess = did_you_mean(name, keys.allowed)
    return f"unknown key{guess or f'; allowed: {listed(keys.allowed)}'}"


def has_refused_key(item: Item, section: Section) -> bool:
    """Return whether a fault about another key already explains the missing one."""
    return isinstance(item.node, MapNode) and len(item.node.entries) > len(section)


def is_misspelt(item: Item, name: str, keys: Keys) -> bool:
    """Return whether an unknown key of the mapping was probably meant to be `name`."""
    if not isinstance(item.node, MapNode):
        return False
    given = (key.text for key, _ in item.node.entries)
    meant = did_you_mean(name, (name,))
    return any(
        key not in keys.allowed and did_you_mean(key, keys.allowed) == meant for key in given
    )


def read_entries(item: Item, wanted: str) -> Section | None:
    """Read a mapping whose keys are names that the user chose."""
    node = item.node
    if not isinstance(node, MapNode):
        item.fault(f"{wanted}, not {describe(node)}")
        return None
    prefix = f"{item.path}." if item.path else ""
    return {
        key.text: Item(node=value, key=key, path=f"{prefix}{key.text[:80]}", faults=item.faults)
        for key, value in node.entries
    }


def read_list(item: Item, wanted: str) -> list[Item] | None:
    """Read the items of a list."""
    if not isinstance(item.node, ListNode):
        item.fault(f"{wanted}, not {describe(item.node)}")
        return None
    return [
        Item(node=node, path=f"{item.path}[{index}]", faults=item.faults)
        for index, node in enumerate(item.node.items)
    ]


def read_int(item: Item, interval: Interval) -> int | None:
    """Read a whole number; `1.0` and `true` are faults."""
    value = _scalar_value(item)
    if isinstance(value, int) and not isinstance(value, bool) and value in interval:
        return value
    item.fault(f"must be a whole number {interval}, not {describe(item.node)}{_quoted(value)}")
    return None


def read_float(item: Item, interval: Interval) -> float | None:
    """Read a finite number, whole ones included."""
    value = _scalar_value(item)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and math.isfinite(number := float(value)) and number in interval:  # type: ignore[arg-type]
        return number
    wanted = f"must be a finite number {interval}".rstrip()
    item.fault(f"{wanted}, not {describe(item.node)}{_quoted(value)}")
    return None


def read_bool(item: Item) -> bool | None:
    """Read `true` or `false`."""
    value = _scalar_value(item)
    if isinstance(value, bool):
        return value
    item.fault(f"must be true or false, not {describe(item.node)}")
    return None


def read_text(item: Item, wanted: str) -> str | None:
    """Read text that is not empty."""
    value = _scalar_value(item)
    if isinstance(value, str) and value:
        return value
    item.fault(f"{wanted}, not {describe(item.node)}")
    return None


def read_option(
    item: Item, options: Sequence[str], later: Iterable[str] = (), what: str = "value"
) -> str | None:
    """Read one of the names in `options`; those in `later` are planned."""
    text = read_text(item, f"must be one of {listed(options)}")
    if text is None or text in options:
        return text
    if text in later:
        item.fault(f"{quote(text)} is not supported yet; use {_either(options)}")
    else:
        guess = did_you_mean(text, options) or f"; use {_either(options)}"
        item.fault(f"unknown {what} {quote(text)}{guess}")
    return None


def read_seconds(item: Item, interval: Interval) -> float | None:
    """Read a duration, in seconds."""
    node = item.node
    value = _scalar_value(item)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and isinstance(node, ScalarNode):
        item.fault(f"add a unit to {node.text[:20]}, as in 90s, 30m or 1d12h")
        return None
    seconds = parse_duration(value) if isinstance(value, str) else None
    if seconds is None:
        item.fault(f"must be a duration such as 90s, 30m or 1d12h, not {describe(node)}")
    elif seconds not in interval:
        low, high = render_duration(interval.low), render_duration(interval.high)
        item.fault(f"must be a duration from {low} to {high}, not {quote(value)}")
        return None
    return seconds


def warn_of_text(item: Item, among: Iterable[ParamValue] = ()) -> None:
    """Warn of text without quotes that was probably meant as another value, such as `no`.

    A single letter counts only if all values in `among` could be meant so.
    """
    node = item.node
    if not isinstance(node, ScalarNode) or not node.is_plain or not isinstance(node.value, str):
        return
    meant = meant_value(node.text)
    if not meant or (len(node.text) == 1 and not all(map(_is_meant, among))):
        return
    item.warn(
        f"{quote(node.text)} is read as text; write {meant}, or put it in quotes if text is meant"
    )


def _is_meant(value: ParamValue) -> bool:
    return isinstance(value, str) and bool(meant_value(value))


def _quoted(value: ParamValue) -> str:
    """Return a hint if a number is text only because of its quotes."""
    is_text_only = isinstance(value, str) and isinstance(core_value(value[:40]), int | float)
    return "; remove the quotes" if is_text_only else ""


def _scalar_value(item: Item) -> ParamValue:
    return item.node.value if isinstance(item.node, ScalarNode) else None


def describe(node: Node) -> str:
    """Describe a node for a message."""
    match node:
        case MapNode():
            return "a mapping"
        case ListNode():
            return "a list"
        case BrokenNode():
            return "this"
        case ScalarNode() if node.value is None:
            return "nothing" if node.text == "" else "null"
        case ScalarNode() if isinstance(node.value, str):
            return quote(node.value)
        case ScalarNode():
            return quote(node.text).strip("'")


def _either(options: Sequence[str]) -> str:
    *others, last = options
    return f"{', '.join(others)} or {last}" if others else last
