"""New limits for a study: the request, checked against the present limits and their use."""

from dataclasses import replace
from typing import Any

from tuner.errors import UsageError
from tuner.study.control import Amount, Extension
from tuner.study.limits import Limits, Used, limit_name
from tuner.study.trial import Direction
from tuner.study_file.model import StudySpec

MAX_TRIALS = 2**31 - 2  # a trial's number is a Postgres int

_OPTIONS = {
    "trials": "--trials",
    "steps": "--epochs",
    "seconds": "--time",
    "device_seconds": "--gpu-hours",
}


def extend_limits(limits: Limits, used: Used, wanted: Extension, spec: StudySpec) -> Limits:
    """Return the new limits; raises `UsageError` for one below its use, or `+` without a limit."""
    direction = spec.direction
    changes: dict[str, Any] = {}
    for name in _OPTIONS:
        amount: Amount | None = getattr(wanted, name)
        if amount is not None:
            old, done = getattr(limits, name), getattr(used, name)
            changes[name] = _raised(name, amount, old, done, spec.step_noun)
    if wanted.target is not None:
        changes["target"] = _target(wanted.target, limits.target, used.best, direction)
    for name in ("trials", "steps"):
        if name in changes:
            changes[name] = int(changes[name])
    return replace(limits, **changes)


def _raised(name: str, amount: Amount, old: float | None, used: float, step_noun: str) -> float:
    option = _OPTIONS[name]
    if amount.is_more and old is None:
        raise UsageError(
            f"{option} +...: the study has no such limit to raise; give the whole amount "
            "without the +"
        )
    new = amount.value + (old or 0) if amount.is_more else amount.value
    if new < used:
        raise UsageError(
            f"{option}: {_amount(name, new, step_noun)} is below the "
            f"{_amount(name, used, step_noun)} used already"
        )
    if name == "trials" and new > MAX_TRIALS:
        raise UsageError(f"{option}: at most {MAX_TRIALS:,}")
    return new


def _amount(name: str, amount: float, step_noun: str) -> str:
    if name == "device_seconds":
        return f"{amount / 3600:g} h of device time"
    unit = "s" if name == "seconds" else limit_name(name, step_noun)
    return f"{amount:,.0f} {unit}" if amount >= 1 else f"{amount:g} {unit}"


def _target(wanted: Amount, old: float | None, best: float | None, direction: Direction) -> float:
    if wanted.is_more:
        raise UsageError("--target takes the value itself, without a +")
    is_low = direction is Direction.MINIMIZE
    if best is not None and (best <= wanted.value if is_low else best >= wanted.value):
        beyond = "lower" if is_low else "higher"
        raise UsageError(
            f"--target: the best trial has reached {best:g} already; give a {beyond} value "
            f"than that{'' if old is None else f' (now {old:g})'}"
        )
    return wanted.value
