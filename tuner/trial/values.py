"""Conversion of values from user code: NumPy's types are accepted like Python's."""

import json
import math
import numbers
import sys
from collections.abc import Mapping

from tuner.study.trial import MAX_ATTRIBUTE_DEPTH
from tuner.trial.ends import Mistake

MAX_ATTRIBUTE = 2_000  # characters of an attribute as JSON


def plain(value: object) -> object:
    """Return a NumPy scalar, or an array without dimensions, as Python's value of its kind."""
    numpy = sys.modules.get("numpy")  # not loaded: then the value is none of its kinds
    if numpy is None:
        return value
    if isinstance(value, numpy.ndarray) and value.ndim == 0:
        value = value[()]
    for kind, convert in (
        (numpy.bool_, bool),
        (numpy.integer, int),
        (numpy.floating, float),  # `item()` of a longdouble is a longdouble
        (numpy.str_, str),
    ):
        # A span of time is an integer to NumPy.
        if isinstance(value, kind) and not isinstance(value, numpy.timedelta64):
            return convert(value)
    return value


def number_of(value: object) -> float | None:
    """Return the value as a float; None if it is not a number, a plain bool included."""
    if isinstance(value, bool):
        return None
    converted = plain(value)
    if not isinstance(converted, numbers.Real):
        return None
    try:
        return float(converted)
    except TypeError:  # a span of time
        return None
    except OverflowError:  # an int that no float can hold
        return math.inf if converted > 0 else -math.inf  # type: ignore[operator]


def check_number(name: str, value: object) -> float:
    """Return a metric as a float; raise `Mistake` for a value that is not a number."""
    number = number_of(value)
    if number is not None:
        return number
    hint = f"{name}={name}.item()" if hasattr(value, "item") else f"{name}=float(...)"
    raise Mistake(f"{name} is a {kind_of(value)}, not a number; report {hint}")


def cast_number(name: str, value: object) -> float:
    """Convert a metric with `float`, as Optuna does; raise `Mistake` if that fails."""
    number = _cast(value)
    return check_number(name, value) if number is None else number


def _cast(value: object) -> float | None:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError, RuntimeError):  # torch's own for many elements
        return None


def check_returned(value: object, *, is_cast: bool) -> float:
    """Return the objective's result as a float; raise `Mistake` for anything but a number.

    `is_cast`: accept everything that `float` accepts, as Optuna does.
    """
    number = number_of(value)
    if number is None and is_cast:
        number = _cast(value)
    if number is not None:
        return number
    hint = "return it as a float, with .item()" if hasattr(value, "item") else "return a float"
    raise Mistake(f"it returned a {kind_of(value)}; {hint}")


def attribute_of(key: str, value: object, depth: int = MAX_ATTRIBUTE_DEPTH) -> object:
    """Return an attribute as plain JSON values; raise `Mistake` if JSON cannot represent it."""
    value = plain(value)
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return int(value)
    number = number_of(value)
    if number is not None:
        return number
    if isinstance(value, list | tuple | Mapping) and not depth:
        raise Mistake(f"attribute {key} is nested deeper than {MAX_ATTRIBUTE_DEPTH}; flatten it")
    if isinstance(value, list | tuple):
        return [attribute_of(key, part, depth - 1) for part in value]
    if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        return {str(name): attribute_of(key, part, depth - 1) for name, part in value.items()}
    if type(value).__module__ == "numpy" and type(value).__name__.endswith("64"):
        return str(value)  # a date or a span of time
    raise Mistake(
        f"attribute {key} is a {kind_of(value)}; give a number, text or bool, or lists and dicts "
        "of such"
    )


def is_too_long(value: object) -> bool:
    """Return whether an attribute exceeds the space in the record."""
    try:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except ValueError:  # an int of more digits than Python writes
        return True
    return len(text) > MAX_ATTRIBUTE


def kind_of(value: object) -> str:
    """Return the name of its type, for messages."""
    return type(value).__name__
