"""Several pruners at once."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tuner.search.curves import Curves
from tuner.search.history import History
from tuner.study.decision import Decision
from tuner.study.schedule import Schedule
from tuner.study.verdict import Verdict

if TYPE_CHECKING:  # the protocol of its parts
    from tuner.search.protocols import Pruner


class AnyPruner:
    """Prunes when one of its parts does, with the reason of the first one."""

    def __init__(self, parts: "Sequence[Pruner]") -> None:
        assert parts
        self._parts = tuple(parts)
        self.compares_running = any(part.compares_running for part in parts)
        self.compares_complete = any(part.compares_complete for part in parts)

    def schedule(self, place: int, n_steps: int | None) -> Schedule:
        """Return the steps of all parts."""
        return Schedule(
            runs=tuple(run for part in self._parts for run in part.schedule(place, n_steps).runs)
        )

    def decide(self, trial: History, others: Curves) -> Decision:
        """Each part decides at its own steps."""
        decisions = [part.decide(trial, others) for part in self._parts]
        for decision in decisions:
            if decision.action is Verdict.PRUNE:
                return decision
        reason = "; ".join(decision.reason for decision in decisions)
        return Decision(action=Verdict.CONTINUE, reason=reason)
