"""Kinds of values in a study file, each with its reader and its JSON Schema."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tuner.study_file.schema.parts import DURATION, Schema, number_schema, object_schema
from tuner.study_file.text.durations import render_duration
from tuner.study_file.text.faults import did_you_mean, listed, quote
from tuner.study_file.text.intervals import Interval
from tuner.study_file.text.items import (
    Item,
    describe,
    read_bool,
    read_entries,
    read_float,
    read_int,
    read_list,
    read_option,
    read_seconds,
    read_text,
)
from tuner.study_file.text.yaml_nodes import ListNode, MapNode, ScalarNode

DAY = 86_400  # seconds
_ANY = Interval()


class Value(ABC):
    """The kind of a key's value, with its reader and its schema."""

    @abstractmethod
    def read(self, item: Item) -> Any:
        """Return the value as the spec stores it; None after a fault (see `Item.fault`)."""

    @abstractmethod
    def schema(self) -> Schema:
        """Return the JSON Schema of the value as it is written."""

    def written(self, stored: Any) -> Any:
        """Return a stored value as a study file writes it."""
        return stored


@dataclass(frozen=True)
class Whole(Value):
    """A whole number between two bounds, inclusive."""

    low: int
    high: int

    def read(self, item: Item) -> int | None:
        return read_int(item, Interval(low=self.low, high=self.high))

    def schema(self) -> Schema:
        return number_schema(Interval(low=self.low, high=self.high), "integer")


@dataclass(frozen=True)
class Real(Value):
    """A finite number."""

    interval: Interval = _ANY

    def read(self, item: Item) -> float | None:
        return read_float(item, self.interval)

    def schema(self) -> Schema:
        return number_schema(self.interval)


@dataclass(frozen=True)
class Flag(Value):
    """`true` or `false`."""

    def read(self, item: Item) -> bool | None:
        return read_bool(item)

    def schema(self) -> Schema:
        return {"type": "boolean"}


@dataclass(frozen=True)
class OneOf(Value):
    """One of several names."""

    names: Sequence[str]
    what: str = "value"  # in the message about an unknown one

    def read(self, item: Item) -> str | None:
        return read_option(item, self.names, what=self.what)

    def schema(self) -> Schema:
        return {"enum": list(self.names)}


@dataclass(frozen=True)
class Duration(Value):
    """A duration such as `30m`, stored in seconds; bounds in seconds, inclusive."""

    low: float
    high: float

    def read(self, item: Item) -> float | None:
        return read_seconds(item, Interval(low=self.low, high=self.high))

    def schema(self) -> Schema:
        return dict(DURATION)

    def written(self, stored: Any) -> str:
        return render_duration(stored)


@dataclass(frozen=True)
class Hours(Value):
    """A positive number of hours, stored in seconds."""

    _interval = Interval(low=0, is_open_low=True)

    def read(self, item: Item) -> float | None:
        hours = read_float(item, self._interval)
        return None if hours is None else hours * 3600

    def schema(self) -> Schema:
        return number_schema(self._interval)

    def written(self, stored: Any) -> float:
        return float(stored) / 3600


@dataclass(frozen=True)
class OrWord(Value):
    """Another value, or a word that is stored as None."""

    word: str
    value: Value
    wanted: str = ""  # in the message to who writes another word; empty: the value's own message

    def read(self, item: Item) -> Any:
        node = item.node
        if isinstance(node, ScalarNode) and node.value == self.word:
            return None
        if self.wanted and isinstance(node, ScalarNode) and isinstance(node.value, str):
            item.fault(f"must be {self.wanted}, not {quote(node.value)}")
            return None
        return self.value.read(item)

    def schema(self) -> Schema:
        return {"anyOf": [{"const": self.word}, self.value.schema()]}

    def written(self, stored: Any) -> Any:
        return self.word if stored is None else self.value.written(stored)


@dataclass(frozen=True)
class Text(Value):
    """Text that is not empty; a plain number counts as text, since columns may be named so."""

    wanted: str  # "must name a column, such as age"

    def read(self, item: Item) -> str | None:
        node = item.node
        is_number = isinstance(node, ScalarNode) and isinstance(node.value, int | float)
        if is_number and isinstance(node, ScalarNode) and not isinstance(node.value, bool):
            return node.text
        return read_text(item, self.wanted)

    def schema(self) -> Schema:
        return {"type": "string", "minLength": 1}


@dataclass(frozen=True)
class Texts(Value):
    """A list of different texts; a single one needs no list. It is stored as a tuple."""

    of: Text

    def read(self, item: Item) -> tuple[str, ...] | None:
        if not isinstance(item.node, ListNode):
            single = self.of.read(item)
            return None if single is None else (single,)
        items = read_list(item, "") or []
        texts = [text for each in items if (text := self.of.read(each)) is not None]
        for index, text in enumerate(texts):
            if text in texts[:index]:
                items[index].fault(f"{quote(text)} is listed twice")
                return None
        return tuple(texts) if len(texts) == len(items) else None

    def schema(self) -> Schema:
        single = self.of.schema()
        return {"anyOf": [single, {"type": "array", "items": single, "uniqueItems": True}]}

    def written(self, stored: Any) -> Any:
        return list(stored)


@dataclass(frozen=True)
class ByName(Value):
    """A mapping from names that the user chooses to values of one kind."""

    value: Value
    wanted: str  # "must be a mapping, such as {zip: category}"

    def read(self, item: Item) -> dict[str, Any] | None:
        entries = read_entries(item, self.wanted)
        if entries is None:
            return None
        found = {name: self.value.read(entry) for name, entry in entries.items()}
        return found if all(value is not None for value in found.values()) else None

    def schema(self) -> Schema:
        return {"type": "object", "additionalProperties": self.value.schema()}


@dataclass(frozen=True)
class Variant:
    """One of several ways, with its setting."""

    setting: Value | None = None  # `{constant: 0}`; None: the name alone
    is_optional: bool = False  # the name alone is allowed as well


@dataclass(frozen=True)
class OneOfVariants(Value):
    """A name, or a mapping with a name and its setting: `median`, `{constant: 0}`.

    It is stored as it is written: text, or a mapping with one entry.
    """

    variants: Mapping[str, Variant]

    def read(self, item: Item) -> str | Mapping[str, Any] | None:
        if isinstance(item.node, MapNode):
            return self._read_mapping(item)
        if not isinstance(item.node, ScalarNode) or not isinstance(item.node.value, str):
            item.fault(f"must be one of {self._listed()}, not {describe(item.node)}")
            return None
        name = item.node.value
        if name not in self.variants:
            guess = did_you_mean(name, self.variants) or f"; choose one of {self._listed()}"
            item.fault(f"unknown value {quote(name)}{guess}")
            return None
        variant = self.variants[name]
        if variant.setting is not None and not variant.is_optional:
            item.fault(f"needs its setting; write {self._example(name)}")
            return None
        return name

    def _read_mapping(self, item: Item) -> Mapping[str, Any] | None:
        entries = read_entries(item, "") or {}
        if len(entries) != 1:
            item.fault(f"must have exactly one of {self._listed()}")
            return None
        ((name, entry),) = entries.items()
        variant = self.variants.get(name)
        if variant is None:
            guess = did_you_mean(name, self.variants) or f"; choose one of {self._listed()}"
            entry.key_fault(f"unknown key{guess}")
            return None
        if variant.setting is None:
            entry.key_fault(f"{name} has no setting; write {name} alone")
            return None
        value = variant.setting.read(entry)
        return None if value is None else {name: value}

    def schema(self) -> Schema:
        alone = [n for n, v in self.variants.items() if v.setting is None or v.is_optional]
        return {
            "anyOf": [
                {"enum": alone},
                *(
                    object_schema({name: variant.setting.schema()}, [name])
                    for name, variant in self.variants.items()
                    if variant.setting is not None
                ),
            ]
        }

    def _listed(self) -> str:
        return listed([self._example(name) for name in self.variants])

    def _example(self, name: str) -> str:
        variant = self.variants[name]
        is_alone = variant.setting is None or variant.is_optional
        return name if is_alone else f"{{{name}: ...}}"


def variant_of(stored: str | Mapping[str, Any]) -> tuple[str, Any]:
    """Return the name and the setting of a value of `OneOfVariants`; None without a setting."""
    if isinstance(stored, str):
        return stored, None
    ((name, setting),) = stored.items()
    return name, setting
