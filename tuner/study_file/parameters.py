"""`params:` and `search_space:`, checked against the built-in trainer's table."""

import re

from tuner.study.trial import ParamValue
from tuner.study_file import not_yet
from tuner.study_file.faults import did_you_mean, listed
from tuner.study_file.items import (
    Item,
    Keys,
    Section,
    read_entries,
    read_float,
    read_int,
    read_list,
    read_option,
    read_section,
)
from tuner.study_file.model import Choice, Range
from tuner.study_file.ranges import read_float_range, read_int_range
from tuner.study_file.trainer_params import PLANNED_PARAMS, TRAINER_PARAMS, TrainerParam
from tuner.study_file.yaml_nodes import ListNode, MapNode, ScalarNode

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)
_KINDS = ("float", "int", "choice")
_RANGE_KEYS = Keys(
    allowed=(*_KINDS, "log", "step"),
    later=not_yet.RANGE,
    hints=dict.fromkeys(
        ("low", "high", "min", "max"), "bounds are a list: {float: [low, high]} or {int: ...}"
    ),
)


def read_params(item: Item | None) -> dict[str, ParamValue]:
    """The fixed values that are right; faults for the others."""
    entries = read_entries(item, "must be a mapping of names to values") if item else None
    params: dict[str, ParamValue] = {}
    for name, entry in (entries or {}).items():
        param = _find_param(name, entry)
        value = _read_value(entry, param) if param else None
        if value is not None:
            params[name] = value
    return params


def read_search_space(item: Item) -> dict[str, Range]:
    """The ranges that are right; faults for the others."""
    entries = read_entries(item, "must be a mapping of names to ranges")
    if entries is not None and not entries:
        item.fault("holds no parameter; add one, such as `learning_rate: {float: [1e-4, 1e-1]}`")
    space: dict[str, Range] = {}
    for name, entry in (entries or {}).items():
        param = _find_param(name, entry)
        if param and param.why_fixed:
            entry.key_fault(f"cannot be searched ({param.why_fixed}); move it to params")
            continue
        given = _read_range(entry, param)
        if given is not None:
            space[name] = given
    return space


def check_parameters(params_item: Item | None, space_item: Item | None) -> None:
    """Faults between parameters: one in both places, one that could have no effect."""
    params = _entries_of(params_item)
    space = _entries_of(space_item)
    for name, entry in params.items():
        if name in space:
            entry.key_fault("is in search_space as well; keep it in one of the two")
    for name, entry in {**params, **space}.items():
        param = TRAINER_PARAMS.get(name)
        if param and param.only_with:
            _check_effect(entry, param.only_with, {**params, **space})


def _check_effect(entry: Item, only_with: tuple[str, str], given: Section) -> None:
    other, value = only_with
    if other in given:
        possible = list(_texts(given[other]))
    else:
        possible = [str(TRAINER_PARAMS[other].default)]
    if value not in possible:
        entry.key_fault(f"has an effect only with `{other}: {value}`; set that or remove this")


def _texts(item: Item) -> list[str]:
    """The values that a valid item of kind choice allows."""
    node = item.node
    if isinstance(node, ScalarNode):
        return [node.text]
    if isinstance(node, ListNode):
        return [entry.text for entry in node.items if isinstance(entry, ScalarNode)]
    if isinstance(node, MapNode):
        lists = [value for key, value in node.entries if key.text == "choice"]
        return [text for value in lists for text in _texts(_inside(item, value))]
    return []


def _inside(item: Item, node: object) -> Item:
    assert isinstance(node, ScalarNode | ListNode | MapNode)
    return Item(node=node, path=item.path, faults=item.faults)


def _entries_of(item: Item | None) -> Section:
    if item is None or not isinstance(item.node, MapNode):
        return {}
    return read_entries(item, "") or {}


def _find_param(name: str, entry: Item) -> TrainerParam | None:
    if not _NAME.fullmatch(name):
        entry.key_fault("a parameter's name is a letter or _, then letters, digits, _ (64 at most)")
    elif name in PLANNED_PARAMS:
        entry.key_fault(f"not supported yet; the trainer takes {listed(TRAINER_PARAMS)}")
    elif name not in TRAINER_PARAMS:
        guess = did_you_mean(name, TRAINER_PARAMS) or f"; known: {listed(TRAINER_PARAMS)}"
        entry.key_fault(f"unknown trainer parameter{guess}")
    return TRAINER_PARAMS.get(name)


def _read_value(item: Item, param: TrainerParam) -> ParamValue:
    if not isinstance(item.node, ScalarNode) and isinstance(item.node, MapNode | ListNode):
        item.fault("must be one fixed value; a range belongs under search_space")
        return None
    match param.kind:
        case "float":
            return read_float(item, param.domain)
        case "int":
            return read_int(item, param.domain)
        case "choice":
            return read_option(item, param.choices, param.planned)


def _read_range(item: Item, param: TrainerParam | None) -> Range | None:
    if isinstance(item.node, ListNode):
        item.fault("name the kind: {float: [low, high]}, {int: [low, high]} or {choice: [...]}")
        return None
    if isinstance(item.node, ScalarNode):
        item.fault("must be a range such as {float: [low, high]}; a fixed value goes under params")
        return None
    section = read_section(item, _RANGE_KEYS)
    if section is None:
        return None
    kinds = [kind for kind in _KINDS if kind in section]
    if len(kinds) != 1:
        found = f"has {listed(kinds)}" if kinds else "has no kind"
        item.fault(f"{found}; give exactly one of {listed(_KINDS)}")
        return None
    return _read_kind(kinds[0], section, param) if param else None


def _read_kind(kind: str, section: Section, param: TrainerParam) -> Range | None:
    if param.kind == "choice" and kind != "choice":
        choices = listed(param.choices)
        section[kind].key_fault(f"{param.name} is a choice; write {{choice: [{choices}]}}")
        return None
    if kind == "choice":
        return _read_choice(section, param)
    if kind != param.kind:
        right = "a number" if param.kind == "float" else "a whole number"
        section[kind].key_fault(f"{param.name} is {right}; write {{{param.kind}: [low, high]}}")
        return None
    if kind == "float":
        return read_float_range(section, param.domain)
    return read_int_range(section, param.domain)


def _read_choice(section: Section, param: TrainerParam) -> Choice | None:
    for name in ("log", "step"):
        if name in section:
            section[name].key_fault("does not apply to a choice; remove it")
    items = read_list(section["choice"], "must be a list of values")
    if items is None:
        return None
    if not items:
        section["choice"].fault("is empty; give at least one value")
        return None
    choices: list[ParamValue] = []
    for item in items:
        if isinstance(item.node, ListNode | MapNode):
            item.fault("must be a single value; choices cannot be nested")
            continue
        value = _read_value(item, param)
        if value is not None and value in choices:
            item.fault("is there twice; remove one")
        choices.append(value)
    return None if None in choices else Choice(choices=tuple(choices))
