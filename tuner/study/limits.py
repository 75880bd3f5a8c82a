"""Limits of a study, and their use."""

from collections.abc import Collection
from dataclasses import dataclass

from tuner.study.trial import Direction


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits over all machines; None: no such limit."""

    trials: int | None = None
    steps: int | None = None  # trained in all trials
    seconds: float | None = None  # in which an agent lived and the study was not paused
    device_seconds: float | None = None  # of busy devices
    target: float | None = None  # for a COMPLETE trial


@dataclass(frozen=True, kw_only=True)
class Used:
    """The used part of each limit."""

    trials: int  # claimed
    steps: int
    seconds: float
    device_seconds: float
    best: float | None  # finite value of a COMPLETE trial


_NAMES = {
    "trials": "trials",
    "draws": "grid cells",
    "seconds": "time",
    "device_seconds": "device time",
    "target": "target",
}


def limit_name(key: str, step_noun: str) -> str:
    """Return the displayed name of a limit; `key` as in `Limits`, "draws" for grid cells."""
    return f"{step_noun}s" if key == "steps" else _NAMES[key]


def reached_limits(limits: Limits, used: Used, direction: Direction) -> tuple[str, ...]:
    """Return the names of the limits that are used up."""
    amounts = {
        "trials": (used.trials, limits.trials),
        "steps": (used.steps, limits.steps),
        "seconds": (used.seconds, limits.seconds),
        "device_seconds": (used.device_seconds, limits.device_seconds),
    }
    reached = [name for name, (n, limit) in amounts.items() if limit is not None and n >= limit]
    if limits.target is not None and used.best is not None:
        is_low = direction is Direction.MINIMIZE
        if used.best <= limits.target if is_low else used.best >= limits.target:
            reached.append("target")
    return tuple(reached)


def bars_all_trials(reached: Collection[str]) -> bool:
    """Return whether one of the limits that are used up bars all trials.

    Those of trials and steps do not: enqueued and released trials may still continue.
    """
    return bool(set(reached) - {"trials", "steps"})
