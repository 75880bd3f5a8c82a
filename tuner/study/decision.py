"""A pruner's decision and its record."""

from dataclasses import dataclass

from tuner.study.trial import AttemptKey
from tuner.study.verdict import Verdict


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Continue or prune, with the reason in words."""

    action: Verdict  # CONTINUE or PRUNE
    reason: str  # "rung 9: rank 14 of 20, keeps 6"


@dataclass(frozen=True, kw_only=True)
class DecisionRecord:
    """A decision as stored: its trial and step, and the values that were known."""

    key: AttemptKey
    step: int
    decision: Decision
    snapshot: str  # the database snapshot (pg_snapshot) whose rung values were seen
    local: tuple[int, ...]  # trials whose value at this step was known besides, on this machine
    local_complete: tuple[int, ...] = ()  # likewise, whose values as COMPLETE trials were known
