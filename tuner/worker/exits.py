"""The way a lane leaves a worker, for every kind of objective."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tuner.messages import Left
from tuner.study.verdict import Outcome
from tuner.training.lane import Lane

# The ways without a failure, after which a process may train another trial.
ORDERLY = frozenset({Outcome.COMPLETE, Outcome.PRUNED, Outcome.RELEASED, Outcome.DROPPED})


@dataclass(frozen=True, kw_only=True)
class Exit:
    """The end of a lane, as reported to the agent."""

    lane: Lane
    how: Outcome
    value: float | None = None  # of a COMPLETE lane
    message: str = ""
    traceback: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)

    def as_left(self, number: int, attempt: int) -> Left:
        """Return the message about an attempt that has left so."""
        return Left(
            number=number,
            attempt=attempt,
            how=self.how,
            value=self.value,
            message=self.message,
            traceback=self.traceback,
            facts=self.facts,
        )
