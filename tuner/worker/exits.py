"""The way a lane leaves a worker, for every kind of objective."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tuner.study.verdict import Outcome
from tuner.training.lane import Lane


@dataclass(frozen=True, kw_only=True)
class Exit:
    """The end of a lane, as reported to the agent."""

    lane: Lane
    how: Outcome
    value: float | None = None  # of a COMPLETE lane
    message: str = ""
    traceback: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)
