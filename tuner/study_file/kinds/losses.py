"""`loss:` and `metrics:` of the built-in trainer, and the tasks that they fit."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import model_serializer, model_validator

from tuner.study_file.code_names import Definition, arity_fault, is_code_name, read_callable
from tuner.study_file.frozen import Model
from tuner.study_file.params.trainer_params import DEFAULT_METRICS, METRICS, Task
from tuner.study_file.schema.parts import Schema, callable_schema, number_schema, object_schema
from tuner.study_file.text.faults import did_you_mean, listed, quote
from tuner.study_file.text.intervals import Interval
from tuner.study_file.text.items import (
    Item,
    Keys,
    read_entries,
    read_float,
    read_list,
    read_option,
    read_section,
    read_text,
)
from tuner.study_file.text.yaml_nodes import ListNode, MapNode, ScalarNode

# By name, the task of the loss. The first one of a task is its default.
LOSSES: Mapping[str, Task] = {
    "cross_entropy": Task.CLASSIFICATION,
    "mse": Task.REGRESSION,
    "mae": Task.REGRESSION,
    "huber": Task.REGRESSION,
}
_DEFAULT_LOSSES = ("cross_entropy", "mse")
_OPTIONS: Mapping[str, tuple[str, ...]] = {"cross_entropy": ("class_weight",), "huber": ("delta",)}
_CLASS_WEIGHTS = ("none", "balanced")
_ABOVE_ZERO = Interval(low=0, is_open_low=True)


class BuiltInLoss(Model):
    """`loss: mse`, `loss: {huber: {delta: 0.5}}`; stored like the latter, with all options."""

    name: Literal["cross_entropy", "mse", "mae", "huber"]
    class_weight: Literal["none", "balanced"] = "none"  # balanced: over the training rows
    delta: float = 1.0  # of huber: where its square ends, in standardized units

    @property
    def is_default(self) -> bool:
        """Return whether it is the loss of its task, as it would be without the key."""
        return self.name in _DEFAULT_LOSSES and self.written() == self.name

    def written(self) -> str | dict[str, Any]:
        """Return it as a study file writes it, without defaults."""
        options = {
            option: value
            for option, value in self._options().items()
            if value != type(self).model_fields[option].default
        }
        return {self.name: options} if options else self.name

    def _options(self) -> dict[str, Any]:
        return {option: getattr(self, option) for option in _OPTIONS.get(self.name, ())}

    @model_serializer
    def _store(self) -> dict[str, Any]:
        return {self.name: self._options()}

    @model_validator(mode="before")
    @classmethod
    def _load(cls, stored: Any) -> Any:
        names = set(stored) & set(LOSSES) if isinstance(stored, Mapping) else set()
        if len(names) != 1 or len(stored) != 1:
            return stored
        (name,) = names
        return {"name": name, **stored[name]}


def read_loss(item: Item, folder: Path) -> str | BuiltInLoss | None:
    """Read a built-in loss, or a callable of outputs and labels."""
    if isinstance(item.node, MapNode):
        return _read_with_options(item)
    text = read_text(item, f"must be one of {listed(LOSSES)}, or a callable of your own")
    if text is None:
        return None
    if is_code_name(text):
        return read_callable(item, text, folder, _loss_fault)
    if text not in LOSSES:
        guess = did_you_mean(text, LOSSES) or (
            f"; use {', '.join(LOSSES)} or a callable of your own, such as losses.py:focal"
        )
        item.fault(f"unknown loss {quote(text)}{guess}")
        return None
    return BuiltInLoss.model_validate({"name": text})


def _loss_fault(node: Definition, name: str) -> str:
    return arity_fault(node, name, f"def {node.name}(outputs, y)", 2)


def _read_with_options(item: Item) -> BuiltInLoss | None:
    section = read_section(item, Keys(allowed=tuple(LOSSES)))
    if section is None:
        return None
    if len(section) != 1:
        if not read_entries(item, "") or section:
            item.fault("must name one loss, such as {huber: {delta: 1.0}}")
        return None
    ((name, entry),) = section.items()
    if name not in _OPTIONS:
        entry.key_fault(f"{name} has no options; write `loss: {name}`")
        return None
    options = read_section(entry, Keys(allowed=_OPTIONS[name]))
    if options is None:
        return None
    given: dict[str, object] = {"name": name}
    if "class_weight" in options:
        given["class_weight"] = read_option(options["class_weight"], _CLASS_WEIGHTS)
    if "delta" in options:
        given["delta"] = read_float(options["delta"], _ABOVE_ZERO)
    return None if None in given.values() else BuiltInLoss.model_validate(given)


def read_metrics(item: Item) -> tuple[str, ...] | None:
    """Read the names of metrics, without `val_`."""
    items = read_list(item, "must be a list of metrics, such as [accuracy, f1]")
    if items is None:
        return None
    if not items:
        item.fault("is empty; name a metric, or remove it for the usual ones")
        return None
    known = tuple(dict.fromkeys(name for of_task in METRICS.values() for name in of_task))
    found: list[str] = []
    for entry in items:
        text = entry.node.text if isinstance(entry.node, ScalarNode) else ""
        plain = text.removeprefix("val_")
        if plain != text and plain in known:
            entry.fault(f"write {plain}; it is reported as {text}")
        elif text in found:
            entry.fault("is there twice; remove one")
        elif read_option(entry, known, what="metric") is not None:
            found.append(text)
    return tuple(found) if len(found) == len(items) else None


def are_default_metrics(names: Collection[str]) -> bool:
    """Return whether these are the metrics of a task without the key."""
    return any(set(names) == set(of_task) for of_task in DEFAULT_METRICS.values())


def task_fault(loss: str | BuiltInLoss | None, metrics: Collection[str], task: Task) -> str:
    """Return why the loss or a metric does not fit the task, as a sentence; empty if all fit."""
    if isinstance(loss, BuiltInLoss) and LOSSES[loss.name] is not task:
        fitting = [name for name, of_task in LOSSES.items() if of_task is task]
        return f"{loss.name} does not fit {task}; write {' or '.join(fitting)}, or remove it"
    wrong = [name for name in metrics if name not in METRICS[task]]
    if wrong:
        return f"{wrong[0]} is no metric of {task}; its metrics: {listed(METRICS[task])}"
    return ""


def check_task(
    loss_item: Item | None,
    metrics_item: Item | None,
    loss: str | BuiltInLoss | None,
    metrics: Collection[str] | None,
    task: Task,
) -> None:
    """Report faults of a loss and of metrics that do not fit the task of the data."""
    if loss_item is not None and (fault := task_fault(loss, (), task)):
        loss_item.fault(fault)
    if metrics_item is None or not isinstance(metrics_item.node, ListNode):
        return
    for index, name in enumerate(metrics or ()):
        if fault := task_fault(None, (name,), task):
            node = metrics_item.node.items[index]
            path = f"{metrics_item.path}[{index}]"
            Item(node=node, path=path, faults=metrics_item.faults).fault(fault)


def smoothing_fault(loss: str | BuiltInLoss | None, task: Task | None) -> str:
    """Return why `label_smoothing` has no effect; empty if it has, or if the task is unknown."""
    is_other = loss is not None and not (
        isinstance(loss, BuiltInLoss) and loss.name == "cross_entropy"
    )
    if is_other or task is Task.REGRESSION:
        return "has an effect only with the loss cross_entropy; remove it"
    return ""


def loss_schema() -> Schema:
    class_weight = object_schema({"class_weight": {"enum": list(_CLASS_WEIGHTS)}})
    delta = object_schema({"delta": number_schema(_ABOVE_ZERO)})
    return {
        "anyOf": [
            {"enum": list(LOSSES)},
            object_schema({"cross_entropy": class_weight}, ["cross_entropy"]),
            object_schema({"huber": delta}, ["huber"]),
            callable_schema("losses.py:focal"),
        ]
    }


def metrics_schema() -> Schema:
    names = list(dict.fromkeys(name for of_task in METRICS.values() for name in of_task))
    return {"type": "array", "items": {"enum": names}, "minItems": 1, "uniqueItems": True}
