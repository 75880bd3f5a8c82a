"""How a lane leaves a worker, whatever kind of objective it had."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tuner.study.verdict import Outcome
from tuner.training.lane import Lane


@dataclass(frozen=True, kw_only=True)
class Exit:
    """What the agent is told of a lane that has left."""

    lane: Lane
    how: Outcome
    value: float | None = None  # of a COMPLETE lane
    message: str = ""
    traceback: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)
