"""The sections of a study file, each read into its part of the spec.

A reader returns None when a fault left nothing of use; the faults are in the item's `Faults`.
"""

import re
from dataclasses import dataclass

from tuner.study.trial import Direction
from tuner.study_file import not_yet
from tuner.study_file.faults import did_you_mean, listed, quote
from tuner.study_file.intervals import Interval
from tuner.study_file.items import (
    Item,
    Keys,
    Section,
    is_misspelt,
    read_int,
    read_option,
    read_seconds,
    read_section,
    read_text,
)
from tuner.study_file.model import (
    Budget,
    Checkpoints,
    Failures,
    SklearnData,
    TrainerObjective,
    Workers,
)
from tuner.study_file.trainer_params import DATA_SETS, OBJECTIVES, TRAINING_METRIC, Task
from tuner.study_file.yaml_nodes import MapNode, ScalarNode

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}", re.ASCII)
_DAY = 86_400


def read_name(item: Item) -> str | None:
    """The study's name: safe in paths and on screens."""
    text = read_text(item, "must be text")
    if text is None or _NAME.fullmatch(text):
        return text
    item.fault("use letters, digits, `.`, `_`, `-`, no leading dot, at most 64 characters")
    return None


def read_objective(item: Item) -> TrainerObjective | None:
    """The built-in trainer on a data set."""
    if isinstance(item.node, ScalarNode) and isinstance(item.node.value, str):
        item.fault("functions are not supported yet; write a mapping with `data:` and `model:`")
        return None
    section = read_section(item, Keys(allowed=("data", "model"), later=not_yet.OBJECTIVE))
    if section is None:
        return None
    data = _read_data(section["data"]) if "data" in section else None
    model = _read_model(section["model"]) if "model" in section else None
    for name, example in (("data", "data: {sklearn: digits}"), ("model", "model: mlp")):
        if name not in section and not _has_refused_key(item, section):
            item.key_fault(f"`{name}:` is missing; add `{example}`")
    return TrainerObjective(data=data, model="mlp") if data and model else None


def _read_data(item: Item) -> SklearnData | None:
    if isinstance(item.node, ScalarNode):
        item.fault("must name its source, such as {sklearn: digits}")
        return None
    section = read_section(item, Keys(allowed=("sklearn",), later=not_yet.DATA))
    if section is None:
        return None
    if "sklearn" not in section:
        if not _has_refused_key(item, section):
            item.key_fault("names no data; write {sklearn: digits}")
        return None
    name = read_option(section["sklearn"], tuple(DATA_SETS), what="data set")
    return SklearnData(sklearn=name) if name else None


def _has_refused_key(item: Item, section: Section) -> bool:
    """True when a fault already says what is wrong with what stands here instead."""
    return isinstance(item.node, MapNode) and len(item.node.entries) > len(section)


def _read_model(item: Item) -> str | None:
    if isinstance(item.node, ScalarNode) and ":" in item.node.text:
        item.fault("models of one's own are not supported yet; use mlp")
        return None
    return read_option(item, ("mlp",), not_yet.MODELS, "model")


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What the study is after."""

    metric: str
    direction: Direction


def read_goal(section: Section, objective: TrainerObjective | None) -> Goal | None:
    """`minimize:` or `maximize:` with a metric that the data's task reports; None for neither."""
    given = [direction for direction in Direction if direction in section]
    if not given:
        return None
    if len(given) == 2:
        section[given[1]].key_fault("minimize and maximize exclude each other; keep one")
        return None
    direction = given[0]
    item = section[direction]
    metric = read_text(item, "must name a metric, such as val_loss")
    if metric is None:
        return None
    fault = _metric_fault(metric, direction, _known_objectives(objective))
    if fault:
        item.fault(fault)
        return None
    return Goal(metric=metric, direction=direction)


def _known_objectives(objective: TrainerObjective | None) -> dict[str, Direction]:
    """What can be optimized; everything where the data is not known."""
    tasks = [DATA_SETS[objective.data.sklearn]] if objective else list(Task)
    return {name: direction for task in tasks for name, direction in OBJECTIVES[task].items()}


def _metric_fault(metric: str, given: Direction, known: dict[str, Direction]) -> str:
    if metric == TRAINING_METRIC:
        return f"{metric} prunes and selects on training data; use val_loss"
    if metric not in known:
        guess = did_you_mean(metric, known) or f"; the trainer reports {listed(known)}"
        return f"unknown metric {quote(metric)} for this data{guess}"
    if known[metric] != given:
        return f"{metric} has the other direction; write `{known[metric]}: {metric}`"
    return ""


def read_budget(item: Item) -> Budget | None:
    """The limits over all machines."""
    keys = Keys(allowed=("trials",), later=not_yet.BUDGET)
    section = read_section(item, keys)
    if section is None:
        return None
    if "trials" not in section:
        if is_misspelt(item, "trials", keys):
            return None
        item.key_fault("`trials:` is missing; add `{trials: 100}`")
        return None
    trials = read_int(section["trials"], Interval(low=1, high=10_000_000))
    return Budget(trials=trials) if trials is not None else None


def read_seed(item: Item | None) -> int | None:
    """The study's seed, 0 by default."""
    return 0 if item is None else read_int(item, Interval(low=0, high=2**32 - 1))


def read_workers(item: Item | None) -> Workers | None:
    """How each device is used."""
    section = _optional(item, Keys(allowed=("processes",), later=not_yet.WORKERS))
    if "processes" not in section:
        return Workers()
    processes = read_int(section["processes"], Interval(low=1, high=64))
    return Workers(processes=processes) if processes is not None else None


def read_checkpoints(item: Item | None) -> Checkpoints | None:
    """When training state is saved."""
    section = _optional(item, Keys(allowed=("every",), later=not_yet.CHECKPOINTS))
    if "every" not in section:
        return Checkpoints()
    every = read_seconds(section["every"], Interval(low=0.1, high=30 * _DAY))
    return Checkpoints(every_seconds=every) if every is not None else None


def read_failures(item: Item | None) -> Failures | None:
    """How failures are met. The grace holds 5 s in which uploads end after the workers."""
    keys = Keys(allowed=("retries", "lease", "grace"), later=not_yet.FAILURES)
    section = _optional(item, keys)
    default = Failures()
    retries, lease, grace = (
        read_int(section["retries"], Interval(low=0, high=100))
        if "retries" in section
        else default.retries,
        read_seconds(section["lease"], Interval(low=1, high=_DAY))
        if "lease" in section
        else default.lease_seconds,
        read_seconds(section["grace"], Interval(low=6, high=_DAY))
        if "grace" in section
        else default.grace_seconds,
    )
    if retries is None or lease is None or grace is None:
        return None
    return Failures(retries=retries, lease_seconds=lease, grace_seconds=grace)


def _optional(item: Item | None, keys: Keys) -> Section:
    return (read_section(item, keys) if item else None) or {}
