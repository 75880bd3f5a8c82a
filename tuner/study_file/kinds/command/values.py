"""Kinds of values of a command's keys."""

import re
import shlex

from tuner.study_file.kinds.command.placeholders import command_faults, names_in, text_fault
from tuner.study_file.schema.parts import Schema
from tuner.study_file.text.faults import quote
from tuner.study_file.text.items import Item, describe, read_entries, read_list
from tuner.study_file.text.yaml_nodes import ListNode, ScalarNode
from tuner.study_file.values import Value

MAX_WORDS = 1000
MAX_TEXT = 30_000  # characters of an argument
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}", re.ASCII)
_OURS = "TUNER_"
_EXAMPLE = '[python, main.py, --lr, "{learning_rate}"]'


class Words(Value):
    """A program and its arguments; plain numbers count as text."""

    def read(self, item: Item) -> tuple[str, ...] | None:
        node = item.node
        if not isinstance(node, ListNode):
            is_line = isinstance(node, ScalarNode) and isinstance(node.value, str)
            example = _split(node.text) if isinstance(node, ScalarNode) and is_line else ""
            item.fault(
                "must be a list of a program and its arguments, because no shell reads it; write "
                f"{example or _EXAMPLE}"
            )
            return None
        entries = read_list(item, "") or []
        words = [_read_word(entry) for entry in entries]
        if not words:
            item.fault("is empty; write [python, main.py]")
        if len(words) > MAX_WORDS:
            item.fault(f"has more than {MAX_WORDS:,} arguments")
        if not words or len(words) > MAX_WORDS or None in words:
            return None
        found = tuple(word for word in words if word is not None)
        faults = list(command_faults(found))
        for index, fault in faults:
            entries[index].fault(fault)
        return None if faults else found

    def schema(self) -> Schema:
        word = {"type": ["string", "number"]}
        return {"type": "array", "items": word, "minItems": 1, "maxItems": MAX_WORDS}


class Environment(Value):
    """Environment variables by name; plain numbers count as text."""

    def read(self, item: Item) -> dict[str, str] | None:
        entries = read_entries(item, "must be a mapping, such as {LR: '{learning_rate}'}")
        if entries is None:
            return None
        found = {name: self._read_variable(name, entry) for name, entry in entries.items()}
        return {n: v for n, v in found.items() if v is not None} if _is_whole(found) else None

    def _read_variable(self, name: str, entry: Item) -> str | None:
        if not _NAME.fullmatch(name) or name.startswith(_OURS):
            entry.key_fault(
                f"{quote(name)} cannot be a variable here; write letters, digits and _, and no "
                f"{_OURS} in front"
            )
            return None
        text = _read_word(entry)
        fault = text_fault(text) if text is not None else ""
        if text and not fault and "args" in names_in(text):
            fault = "`{args}` stands for several arguments; use {params_json} here"
        if fault:
            entry.fault(fault)
        return None if fault else text

    def schema(self) -> Schema:
        return {"type": "object", "additionalProperties": {"type": ["string", "number"]}}


def _is_whole(found: dict[str, str | None]) -> bool:
    return None not in found.values()


def _read_word(entry: Item) -> str | None:
    """Read text, also an empty one, or the text of a number."""
    node = entry.node
    if isinstance(node, ScalarNode) and not isinstance(node.value, bool) and node.value is not None:
        if len(node.text) <= MAX_TEXT:
            return node.text
        entry.fault(f"is longer than {MAX_TEXT:,} characters; put it into a file")
        return None
    entry.fault(f"must be text, not {describe(node)}; write it in quotes")
    return None


def _split(text: str) -> str:
    """Return a command line as the list that it should be; empty if its quotes do not match."""
    try:
        words = shlex.split(text)
    except ValueError:
        return ""
    quoted = [f'"{w}"' if re.search(r"[^\w./=-]", w) or w == "" else w for w in words[:12]]
    return f"[{', '.join(quoted)}{', ...' if len(words) > 12 else ''}]"
