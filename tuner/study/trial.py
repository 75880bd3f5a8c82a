"""A trial: one assignment of parameters and its results."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, TypeVar

ParamValue = bool | int | float | str | None
Params = Mapping[str, ParamValue]
# A parameter's name in a study file, 64 characters at most; dots are for functions only.
PARAM_NAME = re.compile(r"(?!.{65})[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*", re.ASCII)
MAX_NAME = 64  # characters of a metric's or attribute's name
MAX_ATTRIBUTE_DEPTH = 20  # of nested lists and dicts
Values = Mapping[str, float]  # metric name -> value


class TrialState(StrEnum):
    """Optuna's states, by Optuna's names, and two that are derived when a study is read.

    Optuna's record has RUNNING for trials in the derived states.
    """

    WAITING = "WAITING"
    RUNNING = "RUNNING"
    RELEASED = "RELEASED"  # derived: the attempt ended so that another one can continue the trial
    ELSEWHERE = "ELSEWHERE"  # derived, in counts only: another program runs the trial
    COMPLETE = "COMPLETE"
    PRUNED = "PRUNED"
    FAIL = "FAIL"

    @property
    def is_final(self) -> bool:
        """Return whether the trial cannot change any more."""
        return self in FINAL_STATES

    @property
    def is_at_work(self) -> bool:
        """Return whether an agent still has to end the trial."""
        return self in (TrialState.RUNNING, TrialState.RELEASED)

    @property
    def word(self) -> str:
        """Return the state as shown in tables and on pages."""
        words = {TrialState.FAIL: "failed", TrialState.ELSEWHERE: "running elsewhere"}
        return words.get(self, self.value.lower())


FINAL_STATES = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
# In the order in which people see them: the states of a trial, and those of counts.
TRIAL_STATES = (*FINAL_STATES, TrialState.RUNNING, TrialState.RELEASED, TrialState.WAITING)
COUNTED_STATES = (*TRIAL_STATES, TrialState.ELSEWHERE)


class _Negatable(Protocol):
    def __neg__(self) -> Any: ...


_Number = TypeVar("_Number", bound=_Negatable)


class Direction(StrEnum):
    """Whether lower or higher values are better."""

    MINIMIZE = "minimize"
    MAXIMIZE = "maximize"

    def rank(self, value: _Number) -> _Number:
        """Return a key to sort values by, numbers or arrays: the better, the lower."""
        return value if self is Direction.MINIMIZE else -value


@dataclass(frozen=True, kw_only=True)
class AttemptKey:
    """A trial and its attempt: the fencing token of every write."""

    number: int
    attempt: int  # from 1


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """A trial as a sampler sees it."""

    number: int
    state: TrialState
    params: Params  # only those that fit the study's search space
    value: float | None  # of a COMPLETE trial
    last_step: int | None  # the last step of a PRUNED or COMPLETE trial
    last_value: float | None  # the report of a PRUNED trial at its last step
    diverged: bool = False  # FAIL by a non-finite value or lack of memory


def full_length(params: Params) -> int | None:
    """Return the length of a function's trial, its parameter `epochs`; None without it."""
    epochs = params.get("epochs")
    return epochs if type(epochs) is int and epochs > 0 else None
