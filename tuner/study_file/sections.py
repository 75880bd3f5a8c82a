"""The sections of a study file, each read into its part of the spec.

A reader returns None when a fault left nothing of use; the faults are in the item's `Faults`.
"""

import re
from dataclasses import dataclass

from tuner.study.trial import Direction
from tuner.study_file import not_yet
from tuner.study_file.faults import quote
from tuner.study_file.intervals import Interval
from tuner.study_file.items import (
    Item,
    Keys,
    Section,
    has_refused_key,
    read_float,
    read_int,
    read_option,
    read_seconds,
    read_section,
    read_text,
)
from tuner.study_file.kinds.objective import MAX_LANES, Objective, ObjectiveKind
from tuner.study_file.model import Budget, Checkpoints, CodePolicy, Failures, Trial, Workers
from tuner.study_file.yaml_nodes import Node, ScalarNode

STUDY_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}", re.ASCII)
NAME_RULE = "start with a letter, digit or `_`; then letters, digits, `.`, `_`, `-`: at most 64"
_DAY = 86_400
_LIMITS = ("trials", "epochs", "time", "gpu_hours", "target")


def read_name(item: Item, *, is_new: bool = True) -> str | None:
    """The study's name: safe in paths and on screens, and no option of a command.

    Names that are not new may begin with `-`, as an earlier version allowed.
    """
    text = read_text(item, "must be text")
    if text is None or STUDY_NAME.fullmatch(text if is_new else text.replace("-", "_", 1)):
        return text
    item.fault(NAME_RULE)
    return None


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What the study is after."""

    metric: str
    direction: Direction


def read_goal(section: Section, kind: ObjectiveKind, objective: Objective | None) -> Goal | None:
    """`minimize:` or `maximize:` with a metric that the objective reports; None for neither."""
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
    fault = kind.goal_fault(metric, direction, objective, node_of(section, "objective"))
    if fault:
        item.fault(fault)
        return None
    return Goal(metric=metric, direction=direction)


def node_of(section: Section, name: str) -> Node | None:
    """The value of a key, checked or not; None where the key is missing."""
    return section[name].node if name in section else None


def read_budget(item: Item | None, *, is_grid: bool) -> Budget | None:
    """The limits over all machines: at least one, unless a grid ends by itself."""
    if item is None:
        return Budget()
    section = read_section(item, Keys(allowed=_LIMITS))
    if section is None:
        return None
    if not section and not is_grid and not has_refused_key(item, section):
        item.fault("holds no limit; add one, such as {trials: 100} or {time: 12h}")
    trials = _read_count(section.get("trials"), 10_000_000)
    epochs = _read_count(section.get("epochs"), 10**12)
    seconds = (
        read_seconds(section["time"], Interval(low=1, high=3650 * _DAY))
        if "time" in section
        else None
    )
    hours = (
        read_float(section["gpu_hours"], Interval(low=0, is_open_low=True))
        if "gpu_hours" in section
        else None
    )
    target = read_float(section["target"], Interval()) if "target" in section else None
    return Budget(
        trials=trials,
        epochs=epochs,
        time_seconds=seconds,
        gpu_seconds=None if hours is None else hours * 3600,
        target=target,
    )


def _read_count(item: Item | None, most: int) -> int | None:
    return None if item is None else read_int(item, Interval(low=1, high=most))


def read_seed(item: Item | None) -> int | None:
    """The study's seed, 0 by default."""
    return 0 if item is None else read_int(item, Interval(low=0, high=2**32 - 1))


def read_workers(item: Item | None, kind: ObjectiveKind) -> Workers | None:
    """How each device is used."""
    section = _optional(item, Keys(allowed=("lanes", "processes"), later=not_yet.WORKERS))
    default = Workers()
    processes = (
        read_int(section["processes"], Interval(low=1, high=64))
        if "processes" in section
        else default.processes
    )
    lanes = _read_lanes(section.get("lanes"))
    if fault := kind.lanes_fault(lanes or 1):
        section["lanes"].fault(fault)
    return None if processes is None else Workers(processes=processes, lanes=lanes)


def _read_lanes(item: Item | None) -> int | None:
    """None for `auto`, and after a fault."""
    if item is None or _is_word(item, "auto"):
        return None
    if isinstance(item.node, ScalarNode) and isinstance(item.node.value, str):
        item.fault(f"must be auto or a whole number, not {quote(item.node.value)}")
        return None
    return read_int(item, Interval(low=1, high=MAX_LANES))


def read_checkpoints(item: Item | None) -> Checkpoints | None:
    """When training state is saved."""
    keys = Keys(allowed=("every", "keep", "keep_best"), later=not_yet.CHECKPOINTS)
    section = _optional(item, keys)
    default = Checkpoints()
    every, keep, keep_best = (
        read_seconds(section["every"], Interval(low=0.1, high=30 * _DAY))
        if "every" in section
        else default.every_seconds,
        read_int(section["keep"], Interval(low=1, high=100)) if "keep" in section else default.keep,
        read_int(section["keep_best"], Interval(low=0, high=100))
        if "keep_best" in section
        else default.keep_best,
    )
    if every is None or keep is None or keep_best is None:
        return None
    return Checkpoints(every_seconds=every, keep=keep, keep_best=keep_best)


def read_failures(item: Item | None) -> Failures | None:
    """How failures are met. The grace holds 5 s in which uploads end after the workers."""
    keys = ("retries", "lease", "grace", "silence", "stop_after", "max_offline")
    section = _optional(item, Keys(allowed=keys))
    default = Failures()
    retries, lease, grace, offline = (
        read_int(section["retries"], Interval(low=0, high=100))
        if "retries" in section
        else default.retries,
        read_seconds(section["lease"], Interval(low=1, high=_DAY))
        if "lease" in section
        else default.lease_seconds,
        read_seconds(section["grace"], Interval(low=6, high=_DAY))
        if "grace" in section
        else default.grace_seconds,
        read_seconds(section["max_offline"], Interval(low=1, high=30 * _DAY))
        if "max_offline" in section
        else default.max_offline_seconds,
    )
    silence = _read_silence(section.get("silence"))
    stop_after = _read_stop_after(section.get("stop_after"), default.stop_after)
    if retries is None or lease is None or grace is None or offline is None:
        return None
    return Failures(
        retries=retries,
        lease_seconds=lease,
        grace_seconds=grace,
        silence_seconds=silence,
        stop_after=stop_after,
        max_offline_seconds=offline,
    )


def _read_silence(item: Item | None) -> float | None:
    """None for `auto`, and after a fault."""
    if item is None or _is_word(item, "auto"):
        return None
    return read_seconds(item, Interval(low=1, high=30 * _DAY))


def _read_stop_after(item: Item | None, default: int | None) -> int | None:
    """None for `never`, and after a fault."""
    if item is None:
        return default
    if _is_word(item, "never"):
        return None
    if isinstance(item.node, ScalarNode) and isinstance(item.node.value, str):
        item.fault(f"must be a whole number of failures, or never, not {quote(item.node.value)}")
        return None
    return read_int(item, Interval(low=1, high=10_000))


def _is_word(item: Item, word: str) -> bool:
    return isinstance(item.node, ScalarNode) and item.node.value == word


def read_code(item: Item | None) -> CodePolicy | None:
    """What to do when other code of the objective wants to join; warn by default."""
    if item is None:
        return CodePolicy.WARN
    name = read_option(item, tuple(CodePolicy))
    return CodePolicy(name) if name else None


def read_trial(item: Item | None) -> Trial | None:
    """What holds for each trial."""
    section = _optional(item, Keys(allowed=("timeout",), later=not_yet.TRIAL))
    if "timeout" not in section:
        return Trial()
    timeout = read_seconds(section["timeout"], Interval(low=1, high=365 * _DAY))
    return Trial(timeout_seconds=timeout) if timeout is not None else None


def _optional(item: Item | None, keys: Keys) -> Section:
    return (read_section(item, keys) if item else None) or {}
