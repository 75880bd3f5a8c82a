"""`params:` and `search_space:`, checked against the params of the objective.

The built-in trainer has a table. A custom model takes further names, and a function any: these
follow the rule for names, and their values are of any type, kept as they are written.
"""

import math
from collections.abc import Mapping
from enum import Enum, auto
from typing import Literal

from tuner.study.trial import PARAM_NAME, ParamValue
from tuner.study_file.params.conditions import WrittenWhen, attach_conditions, read_when
from tuner.study_file.params.near import read_near
from tuner.study_file.params.ranges import read_float_range, read_int_range
from tuner.study_file.params.space import Choice, Range
from tuner.study_file.params.trainer_params import (
    SHAPE_NAMES,
    KnownParams,
    TrainerParam,
)
from tuner.study_file.text.faults import did_you_mean, listed, quote
from tuner.study_file.text.intervals import Interval
from tuner.study_file.text.items import (
    Item,
    Keys,
    Section,
    describe,
    read_bool,
    read_entries,
    read_float,
    read_int,
    read_list,
    read_option,
    read_section,
    warn_of_text,
)
from tuner.study_file.text.yaml_nodes import ListNode, MapNode, ScalarNode

KINDS_OF_RANGES = ("float", "int", "choice")
RANGE_KEYS = Keys(
    allowed=(*KINDS_OF_RANGES, "log", "step", "grid", "when", "near"),
    hints=dict.fromkeys(
        ("low", "high", "min", "max"), "bounds are a list: {float: [low, high]} or {int: ...}"
    ),
)
# Optuna's record keeps every parameter as a double: whole numbers are exact up to there.
_WHOLE = Interval(low=-(2**53), high=2**53)
_ANY_TEXT = 1000  # characters of a choice


class _Refused(Enum):
    """Marks a refused value; None is a valid value."""

    REFUSED = auto()


_REFUSED: Literal[_Refused.REFUSED] = _Refused.REFUSED


def read_params(item: Item | None, known: KnownParams) -> dict[str, ParamValue]:
    """Read the fixed values that are right; report faults for the others."""
    entries = read_entries(item, "must be a mapping of names to values") if item else None
    params: dict[str, ParamValue] = {}
    for name, entry in (entries or {}).items():
        param = _find_param(name, entry, known)
        value = _read_value(entry, param) if param else _REFUSED
        if value is not _REFUSED:
            params[name] = value
            warn_of_text(entry)
    return params


def read_search_space(item: Item, known: KnownParams) -> dict[str, Range]:
    """Read the ranges that are right, with their conditions; report faults for the others."""
    entries = read_entries(item, "must be a mapping of names to ranges")
    if entries is not None and not entries:
        item.fault("holds no parameter; add one, such as `learning_rate: {float: [1e-4, 1e-1]}`")
    space: dict[str, Range] = {}
    conditions: dict[str, WrittenWhen] = {}
    for name, entry in (entries or {}).items():
        param = _find_param(name, entry, known)
        if param and param.why_fixed:
            entry.key_fault(f"cannot be searched ({param.why_fixed}); move it to params")
            continue
        section = _read_range_section(entry)
        if section is None:
            continue
        given = _read_range(entry, section, param)
        if given is not None:
            space[name] = given
        when = read_when(section["when"]) if "when" in section else None
        if when is not None:
            conditions[name] = when
    return attach_conditions(space, conditions, tuple(entries or ()))


def check_parameters(params_item: Item | None, space_item: Item | None, known: KnownParams) -> None:
    """Report faults between parameters: one in both sections, one without any effect."""
    params = entries_of(params_item)
    space = entries_of(space_item)
    for name, entry in params.items():
        if name in space:
            entry.key_fault("is in search_space as well; keep it in one of the two")
    for name, entry in {**params, **space}.items():
        param = known.table.get(name)
        if param and param.only_with:
            _check_effect(entry, known.table, param.only_with, {**params, **space})


def _check_effect(
    entry: Item,
    known: Mapping[str, TrainerParam],
    only_with: tuple[str, tuple[str, ...]],
    given: Section,
) -> None:
    """Report a parameter that never has an effect; warn of a forgotten `when`."""
    other, values = only_with
    condition = _condition_texts(entry, other)
    possible = _texts(given[other]) if other in given else [str(known[other].default)]
    if not set(possible) <= set(known[other].choices):
        return  # one of them has a fault already
    if condition is not None:
        if not condition or not set(condition) <= set(possible):
            return  # the condition has a fault already
        possible = condition
    needed = " or ".join(f"`{other}: {value}`" for value in values)
    if not set(values) & set(possible):
        entry.key_fault(f"has an effect only with {needed}; set that or remove this")
    elif not set(possible) <= set(values) and isinstance(entry.node, MapNode):
        when = [value for value in values if value in possible]
        written = when[0] if len(when) == 1 else f"[{listed(when)}]"
        entry.key_warn(f"has an effect only with {needed}; add `when: {{{other}: {written}}}`")


def _condition_texts(entry: Item, other: str) -> list[str] | None:
    """Return the values of `other` under which the condition of `entry` holds; None without one."""
    if isinstance(entry.node, MapNode):
        for key, when in entry.node.entries:
            if key.text == "when" and isinstance(when, MapNode):
                for parent, values in when.entries:
                    if parent.text == other:
                        return _texts(_inside(entry, values))
    return None


def _texts(item: Item) -> list[str]:
    """Return the values that a valid item of kind choice allows."""
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


def entries_of(item: Item | None) -> Section:
    """Return the items of a mapping by name; empty if it is missing or unreadable."""
    if item is None or not isinstance(item.node, MapNode):
        return {}
    return read_entries(item, "") or {}


def _find_param(name: str, entry: Item, known: KnownParams) -> TrainerParam | None:
    if not PARAM_NAME.fullmatch(name):
        dots = "" if known.table or "." not in name else ", and dots between such parts"
        entry.key_fault(
            f"a parameter's name is a letter or _, then letters, digits, _ (64 at most){dots}"
        )
        return None
    if known.table and "." in name:
        entry.key_fault(
            "only a function of your own takes names with a dot; the trainer's parameters and the "
            "arguments of a model have none"
        )
        return None
    if known.table and known.takes_others and name in SHAPE_NAMES:
        entry.key_fault("the data set that; choose another name")
    elif name not in known.table and known.takes_others:
        return TrainerParam(name=name, kind="any", default=None)
    elif name not in known.table:
        guess = did_you_mean(name, known.table) or f"; known: {listed(known.table)}"
        entry.key_fault(f"unknown trainer parameter{guess}")
    return known.table.get(name)


def _read_value(item: Item, param: TrainerParam) -> ParamValue | Literal[_Refused.REFUSED]:
    if not isinstance(item.node, ScalarNode) and isinstance(item.node, MapNode | ListNode):
        item.fault("must be one fixed value; a range belongs under search_space")
        return _REFUSED
    value: ParamValue
    match param.kind:
        case "float":
            value = read_float(item, param.domain)
        case "int":
            value = read_int(item, param.domain)
        case "choice":
            value = read_option(item, param.choices)
        case "flag":
            value = read_bool(item)
        case "any":
            return _read_anything(item)
    return _REFUSED if value is None else value


def _read_anything(item: Item) -> ParamValue | Literal[_Refused.REFUSED]:
    """Read a single value of any type, as it is written; null included."""
    if not isinstance(item.node, ScalarNode):
        return _REFUSED
    value = item.node.value
    if isinstance(value, float) and not math.isfinite(value):
        item.fault(f"must be a finite number, not {describe(item.node)}")
    elif type(value) is int and value not in _WHOLE:
        item.fault(f"must be a whole number {_WHOLE}, not {describe(item.node)}")
    elif isinstance(value, str) and len(value) > _ANY_TEXT:
        item.fault(f"is longer than {_ANY_TEXT} characters; shorten it")
    else:
        return value
    return _REFUSED


def _read_range_section(item: Item) -> Section | None:
    if isinstance(item.node, ListNode):
        item.fault("name the kind: {float: [low, high]}, {int: [low, high]} or {choice: [...]}")
        return None
    if isinstance(item.node, ScalarNode):
        item.fault("must be a range such as {float: [low, high]}; a fixed value goes under params")
        return None
    return read_section(item, RANGE_KEYS)


def _read_range(item: Item, section: Section, param: TrainerParam | None) -> Range | None:
    kinds = [kind for kind in KINDS_OF_RANGES if kind in section]
    if len(kinds) != 1:
        found = f"has {listed(kinds)}" if kinds else "has no kind"
        item.fault(f"{found}; give exactly one of {listed(KINDS_OF_RANGES)}")
        return None
    given = _read_kind(kinds[0], section, param) if param else None
    if given is None or "near" not in section:
        return given
    near = read_near(section["near"], given)
    return None if near is None else given.model_copy(update={"near": near})


def _read_kind(kind: str, section: Section, param: TrainerParam) -> Range | None:
    is_free = param.kind == "any"
    if param.kind == "choice" and kind != "choice":
        choices = listed(param.choices)
        section[kind].key_fault(f"{param.name} is a choice; write {{choice: [{choices}]}}")
        return None
    if param.kind == "flag" and kind != "choice":
        section[kind].key_fault(f"{param.name} is true or false; write {{choice: [true, false]}}")
        return None
    if kind == "choice":
        return _read_choice(section, param)
    if kind != param.kind and not is_free:
        right = "a number" if param.kind == "float" else "a whole number"
        section[kind].key_fault(f"{param.name} is {right}; write {{{param.kind}: [low, high]}}")
        return None
    if kind == "float":
        return read_float_range(section, param.domain)
    return read_int_range(section, _WHOLE if is_free else param.domain)


def _read_choice(section: Section, param: TrainerParam) -> Choice | None:
    for name in ("log", "step", "grid"):
        if name in section:
            section[name].key_fault("does not apply to a choice; remove it")
    items = read_list(section["choice"], "must be a list of values")
    if items is None:
        return None
    if not items:
        section["choice"].fault("is empty; give at least one value")
        return None
    choices: dict[ParamValue, ParamValue] = {}  # values that Optuna holds for equal are one key
    is_right = True
    for item in items:
        if isinstance(item.node, ListNode | MapNode):
            item.fault("must be a single value; choices cannot be nested")
            continue
        value = _read_value(item, param)
        if value is _REFUSED:
            is_right = False
            continue
        if value in choices:
            item.fault(_twice(value, choices[value]))
        choices.setdefault(value, value)
    for item in items:
        warn_of_text(item, choices)
    return Choice(choices=tuple(choices.values())) if is_right and choices else None


def _twice(value: ParamValue, earlier: ParamValue) -> str:
    if type(value) is type(earlier):
        return "is there twice; remove one"
    return f"equals {quote(earlier)} in Optuna's record; remove one or put it in quotes"
