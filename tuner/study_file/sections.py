"""The sections of a study file, each read into its part of the spec.

A reader returns None if nothing usable is left after a fault; the faults are in the item's
`Faults`.
"""

import re

from tuner.study.goal import Goal
from tuner.study.trial import Direction
from tuner.study_file.kinds.objective import Objective, ObjectiveKind
from tuner.study_file.model import Workers
from tuner.study_file.text.items import Item, Section, read_entries, read_text
from tuner.study_file.text.yaml_nodes import MapNode, Node

STUDY_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}", re.ASCII)
NAME_RULE = "start with a letter, digit or `_`; then letters, digits, `.`, `_`, `-`: at most 64"

_RANKS = "processes_per_trial"


def read_name(item: Item, *, is_new: bool = True) -> str | None:
    """Read the study's name: safe in paths and on screens, and no option of a command.

    Names of existing studies may begin with `-`, as an earlier version allowed.
    """
    text = read_text(item, "must be text")
    if text is None or STUDY_NAME.fullmatch(text if is_new else text.replace("-", "_", 1)):
        return text
    item.fault(NAME_RULE)
    return None


def read_goal(section: Section, kind: ObjectiveKind, objective: Objective | None) -> Goal | None:
    """Read `minimize:` or `maximize:` with a metric of the objective; None for neither."""
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
    """Return the unchecked value of a key; None where the key is missing."""
    return section[name].node if name in section else None


def check_budget(item: Item | None, *, is_grid: bool) -> None:
    """Report a budget without a limit, unless a grid ends by itself."""
    if item is None or is_grid or not isinstance(item.node, MapNode):
        return
    if not {key.text for key, _ in item.node.entries} - {"stop"}:
        item.fault("holds no limit; add one, such as {trials: 100} or {time: 12h}")


def check_preload(item: Item | None, preload: bool | None, kind: ObjectiveKind) -> None:
    """Report a preload of anything but a function; `item` holds `workers:`."""
    if item is not None and preload and not kind.spec.is_single_use:
        (read_entries(item, "") or {})["preload"].fault(
            f"is for a function, whose file each trial imports, and not for a {kind.spec.noun}; "
            "remove it"
        )


def check_ranks(
    item: Item | None, workers: Workers, kind: ObjectiveKind, objective: Objective | None
) -> None:
    """Report the keys that exclude several GPUs or processes of a trial.

    `item` holds `workers:`.
    """
    n_gpus, n_ranks = workers.gpus_per_trial, workers.n_ranks
    if item is None or max(n_gpus, n_ranks) == 1:
        return
    entries = read_entries(item, "") or {}
    of_ranks = entries["gpus_per_trial" if workers.processes_per_trial is None else _RANKS]
    of_place = entries["gpus_per_trial"] if n_gpus > 1 else of_ranks
    if fault := kind.ranks_fault(objective, n_ranks):
        (of_place if n_ranks == 1 else of_ranks).fault(fault)
    elif n_gpus > 1 and n_ranks not in (1, n_gpus):
        of_ranks.fault(
            f"must be {n_gpus}, one process per GPU of `gpus_per_trial`, or 1 for a program that "
            "uses all of them itself"
        )
    elif workers.processes > 1:
        entries["processes"].fault(
            f"must be 1 with `{of_place.path.rpartition('.')[2]}`, because such a trial shares its "
            "devices with no other one; remove it"
        )
    elif workers.preload and n_ranks > 1:
        entries["preload"].fault(
            f"cannot be used with {n_ranks} processes per trial, which torchrun starts; remove it"
        )


def check_lanes(item: Item | None, lanes: int | None, kind: ObjectiveKind) -> None:
    """Report more lanes than the kind of objective can have; `item` holds `workers:`."""
    fault = kind.lanes_fault(lanes or 1)
    if item is not None and fault:
        (read_entries(item, "") or {})["lanes"].fault(fault)
