"""The search space as a study file writes it, in plain values."""

from collections.abc import Mapping
from typing import Any

from tuner.study_file.params.space import Choice, FloatRange, IntRange, Range, SearchSpace


def write_space(space: SearchSpace) -> dict[str, dict[str, Any]]:
    """Return `{"lr": {"float": [1e-05, 0.1], "log": True}}`, without points of a grid."""
    return {name: {**_write_range(given), **_write_when(given)} for name, given in space.items()}


def _write_range(given: Range) -> dict[str, Any]:
    match given:
        case FloatRange(low=low, high=high, log=log, step=step):
            written: dict[str, Any] = {"float": [low, high]}
            return {**written, **_set({"log": log, "step": step})}
        case IntRange(low=low, high=high, log=log, step=step):
            return {"int": [low, high], **_set({"log": log, "step": None if step == 1 else step})}
        case Choice(choices=choices):
            return {"choice": list(choices)}


def _write_when(given: Range) -> dict[str, Any]:
    when = given.when
    return {} if when is None else {"when": {when.parameter: list(when.values)}}


def _set(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if value not in (None, False)}
