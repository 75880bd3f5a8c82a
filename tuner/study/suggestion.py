"""A sampler's proposal, and what it was based on."""

from dataclasses import dataclass

from tuner.study.trial import Params


@dataclass(frozen=True, kw_only=True)
class Basis:
    """What a model-based sampler had seen: enough to derive its suggestion again."""

    seed: int  # of the batch, 0 .. 2**32 - 1
    place: int  # in its batch, from 0; earlier places count as running trials
    highest: int  # highest trial number seen, -1 for none
    open_numbers: tuple[int, ...]  # those up to `highest` that were not final
    hidden: tuple[int, ...] = ()  # of these, not shown to the model: waiting, params missing


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """Proposed params of one trial."""

    params: Params
    basis: Basis | None = None  # None: a pure function of the draw
