"""How an agent's part in a study ended."""

from dataclasses import dataclass
from enum import StrEnum

from tuner.errors import TunerError


class EndingKind(StrEnum):
    """The ways to end."""

    FINISHED = "finished"  # a limit was reached or somebody stopped it; every trial is final
    INTERRUPTED = "interrupted"  # SIGINT: the trials were handed back
    TERMINATED = "terminated"  # SIGTERM or SIGUSR1: likewise
    HALTED = "halted"  # too many failures in a row: the trials were handed back
    FAILED = "failed"  # `error` says why


@dataclass(frozen=True, kw_only=True)
class Ending:
    """The outcome of `tuner run`."""

    kind: EndingKind
    reason: str | None = None  # which limit, or who stopped it
    is_cut_off: bool = False  # the database was away: what was to be written last is not
    error: TunerError | None = None
