"""Results of commands to a study, for the command line and other fronts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tuner.study.agents import Desired
from tuner.study.limits import Limits, Used
from tuner.study.trial import Params

# How the reason begins where a person stopped the study; a limit's reason begins otherwise.
STOPPED_BY = "stopped by "


@dataclass(frozen=True, kw_only=True)
class Steered:
    """The result of stop, pause and resume."""

    before: Desired
    reason: str | None  # why it is paused or stopping now
    ended: tuple[int, ...] = ()  # trials that no agent held
    held: Mapping[str, Sequence[int]]  # host -> trials that living agents still hold
    n_waiting: int  # enqueued
    n_agents: int  # alive
    reached: tuple[str, ...] = ()  # limits that are used up
    is_over: bool = False  # it had ended by itself


@dataclass(frozen=True, kw_only=True)
class Amount:
    """`200` or `+50`."""

    value: float
    is_more: bool = False


@dataclass(frozen=True, kw_only=True)
class Extension:
    """New limits: each an absolute or additional amount; None leaves the old one."""

    trials: Amount | None = None
    steps: Amount | None = None
    seconds: Amount | None = None
    device_seconds: Amount | None = None
    target: Amount | None = None


@dataclass(frozen=True, kw_only=True)
class Extended:
    before: Limits
    after: Limits
    used: Used
    n_draws: int | None  # cells of a grid: no limit makes more of them
    desired: Desired
    reason: str | None
    is_released: bool  # whether a limit had stopped the study and it may continue now
    n_agents: int


@dataclass(frozen=True, kw_only=True)
class Enqueued:
    """The result of enqueue and retry."""

    numbers: tuple[int, ...]
    params: tuple[Params, ...]
    retry_of: tuple[int | None, ...]
    limit_trials: int | None
    n_left: int | None  # trials that may still start, the enqueued ones included; None: no limit
    n_waiting: int
    desired: Desired
    n_agents: int
