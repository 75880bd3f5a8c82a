"""Ranges that user code requests with `suggest_*`, and draws from them.

A range is written as in a study file, as plain values: `{"float": [1e-05, 0.1], "log": True}`.
"""

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

from tuner.study.trial import ParamValue
from tuner.trial.ends import Mistake
from tuner.trial.values import plain

Written = Mapping[str, Any]


def ask_float(name: str, low: float, high: float, step: float | None, log: bool) -> Written:
    """Return the range of `suggest_float`; raise `Mistake` for an impossible one."""
    bounds = [_float(name, bound) for bound in (low, high)]
    written: dict[str, Any] = {"float": bounds}
    if log:
        written["log"] = True
    if step is not None:
        written["step"] = _float(name, step)
    return _checked(name, bounds, written)


def ask_int(name: str, low: int, high: int, step: int, log: bool) -> Written:
    """Return the range of `suggest_int`; raise `Mistake` for an impossible one."""
    bounds = [int(_float(name, bound)) for bound in (low, high)]
    written: dict[str, Any] = {"int": bounds}
    if log:
        written["log"] = True
    if step != 1:
        written["step"] = int(_float(name, step))
    return _checked(name, bounds, written)


def ask_choice(name: str, choices: Sequence[object]) -> Written:
    """Return the range of `suggest_categorical`; values that no study file can hold become text."""
    if not choices:
        raise Mistake(f"suggest_categorical({name!r}) has no choices")
    return {"choice": [_scalar(choice) for choice in choices]}


def is_same_range(asked: Written, given: Written) -> bool:
    """Return whether both have the same values; the order of choices does not matter."""
    given = {key: value for key, value in given.items() if key != "when"}
    if "choice" in asked and "choice" in given:
        ours, theirs = ([(type(v), v) for v in r["choice"]] for r in (asked, given))
        return all(v in theirs for v in ours) and all(v in ours for v in theirs)
    return asked == given


def draw(asked: Written, seed: int) -> int | float:
    """Draw a number of the range, or the index of a choice: the same for the same seed."""
    generator = random.Random(seed)
    if "choice" in asked:
        return generator.randrange(len(asked["choice"]))
    if "int" in asked:
        low, high = asked["int"]
        if asked.get("log"):
            drawn = round(_draw_log(generator, low - 0.5, high + 0.5))
            return int(min(max(drawn, low), high))
        return generator.randrange(low, high + 1, asked.get("step", 1))
    low, high = asked["float"]
    if asked.get("log"):
        return float(min(max(_draw_log(generator, low, high), low), high))
    step = asked.get("step")
    if step is None:
        return generator.uniform(low, high)
    n_steps = math.floor((high - low) / step + 1e-8)
    return float(min(low + generator.randint(0, n_steps) * step, high))


def pick(choices: Sequence[object], value: ParamValue) -> object:
    """Return the choice of a param: the code's own object, of its own type."""
    for choice in choices:
        written = _scalar(choice)
        if type(written) is type(value) and written == value:
            return choice
    return value


def _draw_log(generator: random.Random, low: float, high: float) -> float:
    return math.exp(generator.uniform(math.log(low), math.log(high)))


def _scalar(choice: object) -> ParamValue:
    value = plain(choice)
    return value if isinstance(value, bool | int | float | str | None) else str(value)


def _float(name: str, bound: object) -> float:
    try:
        return float(bound)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise Mistake(f"the range of {name!r} has the bound {bound!r}, not a number") from None


def _checked(name: str, bounds: Sequence[float], written: dict[str, Any]) -> Written:
    low, high = bounds
    if not low <= high:
        raise Mistake(f"the range of {name!r} is empty: low ({low}) is greater than high ({high})")
    if written.get("log") and low <= 0:
        raise Mistake(f"the range of {name!r} is logarithmic, and its low ({low}) is not positive")
    if written.get("step", 1) <= 0:
        raise Mistake(f"the range of {name!r} has the step {written['step']}, not a positive one")
    return written
