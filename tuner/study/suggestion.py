"""A sampler's proposal and its basis."""

from dataclasses import dataclass
from enum import StrEnum

from tuner.study.trial import Params


@dataclass(frozen=True, kw_only=True)
class Basis:
    """The record that a model-based sampler used: enough to derive its suggestion again."""

    seed: int  # of the batch, 0 .. 2**32 - 1
    place: int  # in its batch, from 0; earlier places count as running trials
    highest: int  # highest trial number seen, -1 for none
    open_numbers: tuple[int, ...]  # those up to `highest` that were not final
    # numbers up to there that the model did not see: waiting, params missing
    hidden: tuple[int, ...] = ()
    # the last known rung of each open trial, in that order, 0 for none; empty if it reads no rungs
    open_rungs: tuple[int, ...] = ()


class SuggestedBy(StrEnum):
    """The origin of a trial's params."""

    RANDOM = "random"
    MODEL = "model"
    BELIEF = "belief"  # around the values that the study file names with `near`
    USER = "user"  # derived: the trial was enqueued
    OTHER = "other"  # derived: another Optuna program made the trial


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    params: Params
    basis: Basis | None = None  # None: a pure function of the draw
    by: SuggestedBy | None = None  # None: not known, or a function of the draw
