"""No pruning."""

from tuner.search.curves import Curves
from tuner.search.history import History
from tuner.study.decision import Action, Decision


class NoPruner:
    """Every trial trains to its end."""

    def steps(self, place: int, n_steps: int) -> tuple[int, ...]:
        """No step at all."""
        return ()

    def decide(self, trial: History, others: Curves) -> Decision:
        """Go on, always."""
        return Decision(action=Action.GO_ON, reason="the study does not prune")
