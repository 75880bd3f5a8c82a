"""Changes of a study since an earlier read."""

from collections.abc import Sequence
from dataclasses import dataclass

from tuner.study.report import RungValue
from tuner.study.trial import TrialRecord


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Position of a reader in the feed."""

    highest: int = -1  # highest trial number seen
    open_numbers: frozenset[int] = frozenset()  # seen, but not final then
    snapshot: str | None = None  # pg_snapshot of the last look at the rung values


@dataclass(frozen=True, kw_only=True)
class Changes:
    """New and ended trials, new rung values, and the new position."""

    trials: Sequence[TrialRecord]
    rung_values: Sequence[RungValue]
    seen: Seen
