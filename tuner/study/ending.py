"""The end of an agent's part in a study."""

from dataclasses import dataclass
from enum import StrEnum

from tuner.errors import TunerError


class EndingKind(StrEnum):
    FINISHED = "finished"  # a limit was reached or a user stopped it; every trial is final
    INTERRUPTED = "interrupted"  # SIGINT: the trials were released
    TERMINATED = "terminated"  # SIGTERM or SIGUSR1: likewise
    HALTED = "halted"  # too many failures in a row: the trials were released
    FAILED = "failed"  # with the reason in `error`


@dataclass(frozen=True, kw_only=True)
class Ending:
    """The outcome of `tuner run`."""

    kind: EndingKind
    reason: str | None = None  # which limit, or who stopped it
    is_cut_off: bool = False  # whether the database was away: the last writes are missing
    error: TunerError | None = None
