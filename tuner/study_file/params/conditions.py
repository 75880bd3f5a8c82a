"""`when: {optimizer: sgd}`: parameters that apply only for certain values of a choice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tuner.study.trial import ParamValue
from tuner.study_file.params.space import Choice, Range, When
from tuner.study_file.text.faults import did_you_mean, listed, quote
from tuner.study_file.text.items import Item, describe, read_entries, warn_of_text
from tuner.study_file.text.yaml_nodes import ListNode, MapNode, ScalarNode

MAX_NESTED = 20  # conditions above one another
_MAX_SHOWN = 10  # choices in a message


@dataclass(frozen=True, kw_only=True)
class WrittenWhen:
    """A condition as written in the file, not yet compared with the space."""

    item: Item  # the value of `when`
    parent: Item  # the parameter that it names
    parameter: str
    values: tuple[Item, ...]  # at least one, single values


def read_when(item: Item) -> WrittenWhen | None:
    """Read one parameter and the value or values under which the condition holds."""
    entries = read_entries(item, "must name a choice and its values, as in {optimizer: sgd}")
    if entries is None:
        return None
    if not entries:
        item.fault("names no choice; write {optimizer: sgd}, or remove it")
        return None
    if len(entries) > 1:
        item.fault("must name one choice only; put a second condition on that choice")
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
    """Attach the conditions to the ranges; report faults for those that can never be right.

    `names` are all parameters of the file, including those whose range was refused: a condition on
    them is not checked.
    """
    conditions = {
        name: when
        for name, given in written.items()
        if (when := _check(name, given, space, names)) is not None
    }
    for name in conditions:
        way = _way_up(name, conditions)
        if len(way) > 1 and way[-1] == name:
            written[name].parent.key_fault(
                f"conditions go in a circle ({' -> '.join(way)}); remove one of them"
            )
        elif len(way) > MAX_NESTED:
            written[name].parent.key_fault(
                f"conditions on conditions, {MAX_NESTED} deep; flatten them"
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
    known = _Lookup(parent.choices)
    indices: dict[int, None] = {}  # in the order of the file
    for item in written.values:
        assert isinstance(item.node, ScalarNode)
        found = known.find(item.node.value)
        if found is None:
            some = listed(map(quote, parent.choices[:_MAX_SHOWN]))
            more = ", ..." if len(parent.choices) > _MAX_SHOWN else ""
            item.fault(f"{describe(item.node)} is no choice of {written.parameter} ({some}{more})")
            return None
        if found in indices:
            item.fault("is there twice; remove one")
            return None
        indices[found] = None
        warn_of_text(item, parent.choices)
    return When(
        parameter=written.parameter, values=tuple(parent.choices[index] for index in indices)
    )


class _Lookup:
    """Finds the choice of a written value: `0` may mean the choice 0.0, never false."""

    def __init__(self, choices: Sequence[ParamValue]) -> None:
        self._exact = {(type(choice), choice): index for index, choice in enumerate(choices)}
        self._numbers = {
            choice: index for index, choice in enumerate(choices) if type(choice) in (int, float)
        }

    def find(self, value: ParamValue) -> int | None:
        exact = self._exact.get((type(value), value))
        if exact is not None or type(value) not in (int, float):
            return exact
        return self._numbers.get(value)


def _way_up(name: str, conditions: Mapping[str, When]) -> list[str]:
    """Return the chain of choices that a parameter depends on; up to itself for a circle."""
    way = [name]
    while way[-1] in conditions and len(way) <= MAX_NESTED:
        way.append(conditions[way[-1]].parameter)
        if way[-1] == name:
            break
    return way
