"""What changed in a study since one last looked."""

from collections.abc import Sequence
from dataclasses import dataclass

from tuner.study.report import RungValue
from tuner.study.trial import TrialRecord


@dataclass(frozen=True, kw_only=True)
class Seen:
    """How far a reader has seen the study."""

    highest: int = -1  # highest trial number seen
    open_numbers: frozenset[int] = frozenset()  # seen, but not final then
    snapshot: str | None = None  # pg_snapshot of the last look at the rung values


@dataclass(frozen=True, kw_only=True)
class Changes:
    """New and ended trials, new rung values, and the new mark."""

    trials: Sequence[TrialRecord]
    rung_values: Sequence[RungValue]
    seen: Seen
