"""Reading of `objective.data`, with the code that a source names."""

import os
from pathlib import Path

from tuner.study_file.code_names import Definition, arity_fault, is_code_name, read_callable
from tuner.study_file.data.sources import SOURCES, AnyData, Data
from tuner.study_file.keys import keyed_fields, read_fields, record_schema
from tuner.study_file.schema.parts import Schema
from tuner.study_file.text.faults import did_you_mean, listed, quote
from tuner.study_file.text.items import Item, Keys, Section, read_entries, read_section
from tuner.study_file.text.yaml_nodes import ListNode, ScalarNode

_EXAMPLES = "{csv: churn.csv, target: churned} or {sklearn: digits}"


def read_data(item: Item, folder: Path) -> AnyData | None:
    """Read a mapping whose key names the source; None after a fault."""
    if isinstance(item.node, ScalarNode | ListNode):
        item.fault(f"must name its source, such as {_EXAMPLES}")
        return None
    entries = read_entries(item, f"must name its source, such as {_EXAMPLES}")
    if entries is None:
        return None
    named = [name for name in entries if name in SOURCES]
    if len(named) != 1:
        _refuse_sources(item, entries, named)
        return None
    record = SOURCES[named[0]]
    known = dict.fromkeys((record.source, *record.required, *keyed_fields(record)))
    section = read_section(item, Keys(allowed=tuple(known)))
    assert section is not None
    values = read_fields(section, record)
    is_complete = _has_required(item, record, section)
    if not is_complete or any(name not in values for name in (record.source, *record.required)):
        return None
    data = record(**values)
    _check_path(section[record.source], data)
    if data.code_name is not None and _code_fault(section[record.source], data, folder):
        return None
    _check_columns(section)
    return data  # type: ignore[return-value]  # a record of the table is one of the union


def data_schema() -> Schema:
    """Return the JSON Schema: a branch for each source."""
    return {
        "anyOf": [
            {**record_schema(record), "required": [record.source, *record.required]}
            for record in SOURCES.values()
        ]
    }


def _refuse_sources(item: Item, entries: Section, named: list[str]) -> None:
    if named:
        entries[named[1]].key_fault(f"{listed(named)} exclude each other; keep one source")
        return
    for name, entry in entries.items():
        guess = did_you_mean(name, SOURCES)
        if guess:
            entry.key_fault(f"unknown key{guess}")
            return
    item.key_fault(f"names no source; add one of {listed(SOURCES)}, such as {_EXAMPLES}")


def _has_required(item: Item, record: type[Data], section: Section) -> bool:
    missing = [name for name in record.required if name not in section]
    for name in missing:
        item.key_fault(f"`{name}:` is missing: the column to predict, as in {name}: churned")
    return not missing


def _check_path(item: Item, data: Data) -> None:
    if data.path is None:
        return
    if "://" in data.path:
        item.fault(
            "must be a path on this machine; download the file first, or load it in a callable: "
            "{python: data.py:load}"
        )
    elif os.path.isabs(data.path):
        item.warn(
            "this path exists on this machine alone; write it relative to the study file, or to a "
            "folder that TUNER_DATA names on each machine"
        )


def _code_fault(item: Item, data: Data, folder: Path) -> bool:
    text = data.name
    if not is_code_name(text):
        item.fault(
            f"{quote(text)} names no callable; write module:callable or path/file.py:callable"
        )
        return True
    return read_callable(item, text, folder, _loader_fault) is None


def _loader_fault(node: Definition, name: str) -> str:
    return arity_fault(node, name, f"def {node.name}()", 0)


def _check_columns(section: Section) -> None:
    """Report a column with two contradicting uses."""
    if "target" not in section or not isinstance(section["target"].node, ScalarNode):
        return
    target = section["target"].node.text
    for name in ("drop", "weight"):
        if name in section and target in _texts(section[name]):
            section[name].fault(f"{quote(target)} is the target; remove it here")


def _texts(item: Item) -> list[str]:
    nodes = item.node.items if isinstance(item.node, ListNode) else [item.node]
    return [node.text for node in nodes if isinstance(node, ScalarNode)]
