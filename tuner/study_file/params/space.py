"""The search space of a study: its ranges, and the conditions under which they apply."""

from collections.abc import Mapping
from typing import Literal

from tuner.study.trial import ParamValue
from tuner.study_file.frozen import Model


class When(Model):
    """`when: {optimizer: [sgd]}`: a parameter applies only if another one has such a value.

    The other one is a `Choice` of the search space and may have a condition of its own: then both
    must hold.
    """

    parameter: str
    values: tuple[ParamValue, ...]


class Near(Model):
    """`near: 1e-3` or `near: {range: [3e-4, 3e-3]}`: where the user expects good values."""

    values: tuple[ParamValue, ...]  # one, or the ends of a range


class FloatRange(Model):
    """`{float: [low, high], log: ..., step: ..., grid: ...}`, bounds inclusive."""

    kind: Literal["float"] = "float"
    low: float
    high: float
    log: bool = False
    step: float | None = None
    grid: int | None = None  # points of this range for `sampler: grid`; geometric with `log`
    when: When | None = None
    near: Near | None = None


class IntRange(Model):
    """`{int: [low, high], log: ..., step: ...}`, bounds inclusive."""

    kind: Literal["int"] = "int"
    low: int
    high: int
    log: bool = False
    step: int = 1
    grid: int | None = None
    when: When | None = None
    near: Near | None = None


class Choice(Model):
    """`{choice: [...]}`."""

    kind: Literal["choice"] = "choice"
    choices: tuple[ParamValue, ...]
    when: When | None = None
    near: Near | None = None


Range = FloatRange | IntRange | Choice
SearchSpace = Mapping[str, Range]
