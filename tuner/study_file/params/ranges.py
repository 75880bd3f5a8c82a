"""Ranges of numbers: `{float: [low, high], log: ..., step: ..., grid: ...}`, also with `int`."""

import math
from decimal import Decimal
from fractions import Fraction

from tuner.study_file.params.space import FloatRange, IntRange
from tuner.study_file.text.intervals import Interval
from tuner.study_file.text.items import (
    Item,
    Section,
    read_bool,
    read_float,
    read_int,
    read_list,
)

MAX_POINTS = 10_000  # of one range in a grid: they are computed one by one
MAX_VALUES = 10**9  # of a range with steps: Optuna's decimal arithmetic is exact up to there
_BOUNDS = "must be [low, high]"
_ABOVE_ZERO = Interval(low=0, is_open_low=True)


def read_float_range(section: Section, domain: Interval) -> FloatRange | None:
    """Read a float range inside the parameter's domain; faults and None otherwise."""
    bounds = read_ends(section["float"])
    log = _read_log(section)
    grid = (
        read_int(section["grid"], Interval(low=2, high=MAX_POINTS)) if "grid" in section else None
    )
    step = read_float(section["step"], _ABOVE_ZERO) if "step" in section else None
    if bounds is None:
        return None
    low, high = (read_float(bound, domain) for bound in bounds)
    if low is None or high is None or log is None or _is_refused(section, step=step, grid=grid):
        return None
    is_right = _check_order(bounds, low, high) and _check_log(section, bounds[0], low, log)
    if not is_right or not _check_step(section, low, high, step):
        return None
    return FloatRange(low=low, high=high, log=log, step=step, grid=grid)


def read_int_range(section: Section, domain: Interval) -> IntRange | None:
    """Read an int range inside the parameter's domain; faults and None otherwise."""
    bounds = read_ends(section["int"])
    log = _read_log(section)
    grid = (
        read_int(section["grid"], Interval(low=2, high=MAX_POINTS)) if "grid" in section else None
    )
    step = read_int(section["step"], Interval(low=1)) if "step" in section else None
    if bounds is None:
        return None
    low, high = (read_int(bound, domain) for bound in bounds)
    if low is None or high is None or log is None or _is_refused(section, step=step, grid=grid):
        return None
    is_right = _check_order(bounds, low, high) and _check_log(section, bounds[0], low, log)
    if not is_right or not _check_step(section, low, high, step):
        return None
    return IntRange(low=low, high=high, log=log, step=step or 1, grid=grid)


def read_ends(item: Item) -> tuple[Item, Item] | None:
    """Return the two items of `[low, high]`; a fault and None otherwise."""
    items = read_list(item, _BOUNDS)
    if items is None:
        return None
    if len(items) != 2:
        item.fault(f"{_BOUNDS}, not {len(items)} value{'' if len(items) == 1 else 's'}")
        return None
    return items[0], items[1]


def _read_log(section: Section) -> bool | None:
    return read_bool(section["log"]) if "log" in section else False


def _is_refused(section: Section, **values: float | None) -> bool:
    """Return whether one of these values is in the file and could not be read."""
    return any(name in section and value is None for name, value in values.items())


def _check_order(bounds: tuple[Item, Item], low: float, high: float) -> bool:
    if low > high:
        bounds[0].fault(f"low ({low}) is greater than high ({high}); swap them")
    elif math.isinf(high - low):
        bounds[1].fault("the range overflows; bring the bounds closer together")
    else:
        return True
    return False


def _check_log(section: Section, low_item: Item, low: float, log: bool) -> bool:
    if log and low <= 0:
        low_item.fault(f"low ({low}) must be above 0 with `log: true`; raise it or remove log")
    elif log and "step" in section:
        section["step"].key_fault("does not go with `log: true`; remove one of the two")
    else:
        return True
    return False


def _check_step(section: Section, low: float, high: float, step: float | None) -> bool:
    """Check that steps lead from low to high exactly, counted in the written decimals."""
    if step is None:
        return True
    width, exact_step = _exact(high) - _exact(low), _exact(step)
    n_steps = width // exact_step
    item = section["step"]
    if low == high:
        item.fault("is larger than the range; remove it or raise high")
    elif n_steps == 0:
        item.fault(f"step ({step}) is larger than the range ({high - low:g}); lower it")
    elif n_steps > MAX_VALUES:
        item.fault(f"gives more than {MAX_VALUES:,} values; raise it or remove it")
    elif width % exact_step:
        below, above = (_exact(low) + n * exact_step for n in (n_steps, n_steps + 1))
        nearest = below if _exact(high) - below <= above - _exact(high) else above
        kind = type(high)
        item.fault(f"does not divide the range; the nearest high is {kind(nearest)}")
    else:
        return True
    return False


def _exact(value: float) -> Fraction:
    return Fraction(Decimal(str(value)))
