"""Other limits for a study: what was asked for, applied to what is there and what is used."""

from dataclasses import replace
from typing import Any

from tuner.errors import UsageError
from tuner.study.control import Amount, Extension
from tuner.study.limits import Limits, Used
from tuner.study.trial import Direction

MAX_TRIALS = 2**31 - 2  # a trial's number is a Postgres int

_WORDS = {
    "trials": ("--trials", "trials"),
    "steps": ("--epochs", "epochs"),
    "seconds": ("--time", "s"),
    "device_seconds": ("--gpu-hours", "gpu hours"),
}


def extend_limits(limits: Limits, used: Used, wanted: Extension, direction: Direction) -> Limits:
    """The new limits; raises `UsageError` for one below what is used, or more of none."""
    changes: dict[str, Any] = {}
    for name in _WORDS:
        amount: Amount | None = getattr(wanted, name)
        if amount is not None:
            changes[name] = _raised(name, amount, getattr(limits, name), getattr(used, name))
    if wanted.target is not None:
        changes["target"] = _target(wanted.target, limits.target, used.best, direction)
    for name in ("trials", "steps"):
        if name in changes:
            changes[name] = int(changes[name])
    return replace(limits, **changes)


def _raised(name: str, amount: Amount, old: float | None, used: float) -> float:
    option, _ = _WORDS[name]
    if amount.is_more and old is None:
        raise UsageError(
            f"{option} +...: the study has no such limit to raise; give the whole amount "
            "without the +"
        )
    new = amount.value + (old or 0) if amount.is_more else amount.value
    if new < used:
        raise UsageError(
            f"{option}: {_amount(name, new)} is below what is used already ({_amount(name, used)})"
        )
    if name == "trials" and new > MAX_TRIALS:
        raise UsageError(f"{option}: at most {MAX_TRIALS:,}")
    return new


def _amount(name: str, amount: float) -> str:
    _, unit = _WORDS[name]
    if name == "device_seconds":
        return f"{amount / 3600:g} {unit}"
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
