"""Reports of a trial in training."""

from dataclasses import dataclass

from tuner.study.trial import AttemptKey, Values


@dataclass(frozen=True, kw_only=True)
class Report:
    """The metrics of one step of one attempt."""

    key: AttemptKey
    step: int  # from 1
    values: Values  # every metric by name, the objective's among them
    rungs: tuple[int, ...] = ()  # reached by it, where the pruner compares running trials


@dataclass(frozen=True, kw_only=True)
class Printed:
    """New output of an attempt."""

    key: AttemptKey
    tail: str  # the end of it, at most 64 KiB
    n_bytes: int  # in all


@dataclass(frozen=True, kw_only=True)
class RungValue:
    """The objective of one trial at a step at which the pruner compares."""

    step: int  # the rung; 0 for the final value of a COMPLETE trial
    number: int
    value: float
    place: int  # the index that pruners use: the draw, otherwise the number
    is_complete: bool = False  # for a COMPLETE trial, whose values count only after its end
