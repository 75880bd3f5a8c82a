"""YAML text as a tree with line and column of every key and value.

The tree is built from ruamel.yaml's events (YAML 1.2, pure Python), so that depth and size are
limited while the text is still being read and nothing is ever constructed from a tag. Plain scalars
follow the YAML 1.2 core schema: `1e-5` is a float, `no` is text.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from tuner.study.trial import ParamValue
from tuner.study_file.text.faults import Faults, quote
from tuner.study_file.text.yaml_text import core_value, is_number

MAX_DEPTH = 20
MAX_VALUES = 10_000  # keys and values: keeps the time to refuse a hostile file below a second
MAX_DIGITS = 300  # of one number: below Python's limit for int(), and within float's range


@dataclass(frozen=True, kw_only=True)
class ScalarNode:
    """A single value."""

    line: int  # from 1
    column: int  # from 1
    text: str  # as written, without quotes
    value: ParamValue
    is_plain: bool = True  # not in quotes


@dataclass(frozen=True, kw_only=True)
class ListNode:
    """A list of values."""

    line: int
    column: int
    items: tuple["Node", ...]


@dataclass(frozen=True, kw_only=True)
class MapNode:
    """Distinct keys and their values, in the order of the file."""

    line: int
    column: int
    entries: tuple[tuple[ScalarNode, "Node"], ...]


@dataclass(frozen=True, kw_only=True)
class BrokenNode:
    """A value that is already reported as a fault: readers skip it."""

    line: int
    column: int


Node = ScalarNode | ListNode | MapNode | BrokenNode


class _Unreadable(Exception):
    """The text cannot be read any further; the fault is reported."""


def compose(text: str, faults: Faults) -> Node | None:
    """Return the only document in `text`; None after a fault that leaves nothing to check."""
    try:
        return _Composer(text, faults).document()
    except _Unreadable:
        return None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        problem = (error.problem or error.context or "cannot be read").strip()
        faults.add(line, column, "", f"not valid YAML ({problem}); check quotes, colons, brackets")
    except YAMLError as error:
        reason = str(error).splitlines()[0]
        faults.add(1, 1, "", f"not valid YAML ({reason}); check the file's characters")
    except RecursionError:
        faults.add(1, 1, "", f"nested deeper than {MAX_DEPTH} levels; flatten it")
    except (ValueError, TypeError, AttributeError, IndexError, AssertionError) as error:
        # The parser trips over a few malformed directives and escapes with plain exceptions.
        faults.add(1, 1, "", f"not valid YAML ({error}); check quotes, colons, brackets")
    return None


class _Composer:
    """Builds the tree from the events of one text."""

    def __init__(self, text: str, faults: Faults) -> None:
        self._events: Iterator[Event] = iter(YAML(typ="safe", pure=True).parse(text))
        self._faults = faults
        self._n_values = 0

    def document(self) -> Node | None:
        """Return the document's root; report directives and a second document."""
        root: Node | None = None
        n_documents = 0
        for event in self._events:
            if isinstance(event, DocumentStartEvent):
                n_documents += 1
                self._check_document(event, n_documents)
                root = self._node(next(self._events), depth=1)
        return root

    def _check_document(self, event: DocumentStartEvent, n_documents: int) -> None:
        if n_documents > 1:
            self._stop(event, "a second document; a study file holds one study")
        if event.version or event.tags:
            self._note(event, "YAML directives are not allowed; remove the line")

    def _node(self, event: Event, depth: int) -> Node:
        self._n_values += 1
        if self._n_values > MAX_VALUES:
            self._stop(event, f"more than {MAX_VALUES:,} keys and values; shorten the file")
        if depth > MAX_DEPTH:
            self._stop(event, f"nested deeper than {MAX_DEPTH} levels; flatten it")
        line, column = _position(event)
        if isinstance(event, AliasEvent):
            self._note(event, f"aliases (*{event.anchor}) are not allowed; write the value out")
            return BrokenNode(line=line, column=column)
        self._check_marks(event)
        if isinstance(event, ScalarEvent):
            return self._scalar(event)
        if isinstance(event, SequenceStartEvent):
            return ListNode(line=line, column=column, items=tuple(self._items(depth)))
        assert isinstance(event, MappingStartEvent)
        return MapNode(line=line, column=column, entries=tuple(self._entries(depth)))

    def _check_marks(self, event: Any) -> None:
        if event.anchor is not None:
            self._note(event, f"anchors (&{event.anchor}) are not allowed; remove it")
        if event.tag is not None:
            tag = str(event.tag).replace("tag:yaml.org,2002:", "!!")
            self._note(event, f"tags ({quote(tag)}) are not allowed; remove it")

    def _items(self, depth: int) -> Iterator[Node]:
        while not isinstance(event := next(self._events), SequenceEndEvent):
            yield self._node(event, depth + 1)

    def _entries(self, depth: int) -> Iterator[tuple[ScalarNode, Node]]:
        first_lines: dict[str, int] = {}
        while not isinstance(event := next(self._events), MappingEndEvent):
            key = self._node(event, depth + 1)
            value = self._node(next(self._events), depth + 1)
            if not isinstance(key, ScalarNode):
                if not isinstance(key, BrokenNode):
                    self._note(event, "a key must be a single word, not a list or mapping")
            elif key.text == "<<":
                self._note(event, "merge keys (<<) are not allowed; write the keys out")
            elif key.text in first_lines:
                line = first_lines[key.text]
                self._note(event, f"duplicate key {quote(key.text)} (first in line {line})")
            else:
                first_lines[key.text] = key.line
                yield key, value

    def _scalar(self, event: Any) -> Node:
        line, column = _position(event)
        text: str = event.value
        is_plain = event.style is None
        if is_plain and len(text) > MAX_DIGITS and is_number(text):
            message = f"a number of {len(text):,} characters; at most {MAX_DIGITS} are read"
            self._note(event, message)
            return BrokenNode(line=line, column=column)
        value = core_value(text) if is_plain else text
        return ScalarNode(line=line, column=column, text=text, value=value, is_plain=is_plain)

    def _note(self, event: Event, message: str) -> None:
        line, column = _position(event)
        self._faults.add(line, column, "", message)

    def _stop(self, event: Event, message: str) -> None:
        self._note(event, message)
        raise _Unreadable


def _position(event: Event) -> tuple[int, int]:
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)
