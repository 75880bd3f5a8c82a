"""Kinds of values in a study file, each with its reader and its JSON Schema."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tuner.study_file.schema.parts import DURATION, Schema, number_schema
from tuner.study_file.text.durations import render_duration
from tuner.study_file.text.faults import quote
from tuner.study_file.text.intervals import Interval
from tuner.study_file.text.items import (
    Item,
    read_bool,
    read_float,
    read_int,
    read_option,
    read_seconds,
)
from tuner.study_file.text.yaml_nodes import ScalarNode

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

    def read(self, item: Item) -> str | None:
        return read_option(item, self.names)

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
