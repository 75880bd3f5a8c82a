"""`when: {optimizer: sgd}`: parameters that apply only where a choice has certain values."""

from collections.abc import Mapping
from dataclasses import dataclass

from tuner.study.trial import ParamValue
from tuner.study_file.faults import did_you_mean, listed, quote
from tuner.study_file.items import Item, describe, read_entries
from tuner.study_file.model import Choice, Range, When
from tuner.study_file.yaml_nodes import ListNode, MapNode, ScalarNode


@dataclass(frozen=True, kw_only=True)
class WrittenWhen:
    """A condition as it stands in the file: nothing is compared with the space yet."""

    item: Item  # of `when`
    parent: Item  # of the parameter that it names
    parameter: str
    values: tuple[Item, ...]  # at least one, single values


def read_when(item: Item) -> WrittenWhen | None:
    """One parameter and the value or values under which the condition holds."""
    entries = read_entries(item, "must name a choice and its values, as in {optimizer: sgd}")
    if entries is None:
        return None
    if not entries:
        item.fault("names no choice; write {optimizer: sgd}, or remove it")
        return None
    if len(entries) > 1:
        item.fault("must name one choice only; a second condition goes on that choice")
        return None
    ((parameter, parent),) = entries.items()
    nodes = parent.node.items if isinstance(parent.node, ListNode) else (parent.node,)
    if not nodes:
        parent.fault(f"is empty; name at least one value of {parameter}")
        return None
    is_list = isinstance(parent.node, ListNode)
    values = tuple(
        Item(
            node=node,
            path=f"{parent.path}[{index}]" if is_list else parent.path,
            faults=item.faults,
        )
        for index, node in enumerate(nodes)
    )
    for value in values:
        if isinstance(value.node, MapNode | ListNode):
            value.fault(f"must be a value of {parameter}, not {describe(value.node)}")
    if not all(isinstance(value.node, ScalarNode) for value in values):
        return None
    return WrittenWhen(item=item, parent=parent, parameter=parameter, values=values)


def attach_conditions(
    space: Mapping[str, Range], written: Mapping[str, WrittenWhen], names: tuple[str, ...]
) -> dict[str, Range]:
    """The ranges with their conditions; faults for those that can never be right.

    `names` are all parameters of the file, those included whose range was refused: about a
    condition on them nothing can be said.
    """
    conditions = {
        name: when
        for name, given in written.items()
        if (when := _check(name, given, space, names)) is not None
    }
    for name in conditions:
        circle = _circle(name, conditions)
        if circle:
            written[name].parent.key_fault(
                f"conditions go in a circle ({' -> '.join(circle)}); remove one of them"
            )
    return {
        name: given.model_copy(update={"when": conditions.get(name)})
        for name, given in space.items()
    }


def _check(
    name: str, written: WrittenWhen, space: Mapping[str, Range], names: tuple[str, ...]
) -> When | None:
    parameter = written.parameter
    if parameter == name:
        written.parent.key_fault("a parameter cannot be its own condition; name another one")
    elif parameter not in names:
        choices = tuple(other for other, given in space.items() if isinstance(given, Choice))
        guess = did_you_mean(parameter, names) or f"; its choices: {listed(choices) or 'none'}"
        written.parent.key_fault(f"search_space has no parameter {quote(parameter)}{guess}")
    elif parameter in space:
        parent = space[parameter]
        if isinstance(parent, Choice):
            return _read_values(written, parent)
        written.parent.key_fault(
            f"a condition needs a choice, and {parameter} is a range ({parent.kind}); "
            "name a choice or remove the condition"
        )
    return None


def _read_values(written: WrittenWhen, parent: Choice) -> When | None:
    indices: list[int] = []
    for item in written.values:
        assert isinstance(item.node, ScalarNode)
        found = _find(item.node.value, parent.choices)
        if found is None:
            choices = listed(map(quote, parent.choices))
            item.fault(f"{describe(item.node)} is no choice of {written.parameter} ({choices})")
            return None
        if found in indices:
            item.fault("is there twice; remove one")
            return None
        indices.append(found)
    values = tuple(parent.choices[index] for index in indices)
    return When(parameter=written.parameter, values=values)


def _find(value: ParamValue, choices: tuple[ParamValue, ...]) -> int | None:
    """The index of the choice that is meant: `0` may stand for the choice 0.0, never for false."""
    for is_same in (_is_identical, _is_same_number):
        for index, choice in enumerate(choices):
            if is_same(value, choice):
                return index
    return None


def _is_identical(value: ParamValue, choice: ParamValue) -> bool:
    return type(value) is type(choice) and value == choice


def _is_same_number(value: ParamValue, choice: ParamValue) -> bool:
    kinds = {type(value), type(choice)}
    return kinds <= {int, float} and value == choice


def _circle(name: str, conditions: Mapping[str, When]) -> list[str]:
    """The way from a parameter over its conditions back to it; empty where there is none."""
    way = [name]
    while way[-1] in conditions and len(way) <= len(conditions):
        way.append(conditions[way[-1]].parameter)
        if way[-1] == name:
            return way
    return []
