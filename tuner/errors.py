"""The exception tree: what tuner raises, and the exit code each ends the command with."""

from collections.abc import Sequence
from dataclasses import dataclass


class TunerError(Exception):
    """Something the user can act on: one sentence that says what, where and what to do."""

    exit_code = 1


class RunFailed(TunerError):
    """The run cannot go on for a reason that lies outside the trials."""


class UsageError(TunerError):
    """The command line asks for something that does not exist or does not fit together."""

    exit_code = 2


class BadRows(UsageError, ValueError):
    """Rows that a model cannot predict from; a `ValueError` too, as Python's libraries raise it."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One located mistake in a study file."""

    line: int  # from 1; 0 for what `--set` gave
    column: int  # from 1
    path: str  # "search_space.lr", empty for the file as a whole
    message: str  # what is wrong and what to do
    source: str  # the line of the file, without its end


class StudyFileError(TunerError):
    """The study file is not valid; `faults` holds every mistake, sorted by position."""

    exit_code = 2

    def __init__(self, file: str, faults: Sequence[Fault], n_more: int = 0) -> None:
        """`n_more` mistakes are not listed."""
        self.file = file
        self.faults = tuple(faults)
        more = f"\n{file}: and {n_more} more; mend these first" if n_more else ""
        super().__init__(render_faults(file, self.faults) + more)


class StudyMismatch(TunerError):
    """A different study lives under this name; the message holds the differences."""

    exit_code = 2


class NotFound(TunerError):
    """No such study or trial."""

    exit_code = 3


class StudyGone(NotFound):
    """The study was deleted while this agent worked on it."""


class DatabaseError(TunerError):
    """The database refuses us, or what it holds is not what this version works with."""

    exit_code = 4


class DatabaseDenied(DatabaseError):
    """Our role has no right to do this."""


class DatabaseAway(DatabaseError):
    """The database cannot be reached now; the same call may succeed later."""


class DatabaseRefused(DatabaseAway):
    """A reconnect was refused: this process was let in before, and may be again."""


class PoolerUnfit(DatabaseError):
    """The connection pooler in front of the database has to be set up otherwise."""


class NoCompleteTrial(TunerError):
    """The study has no COMPLETE trial."""

    exit_code = 5


class HaltedByFailures(TunerError):
    """Too many trials have failed in a row: `failures.stop_after`."""

    exit_code = 6


class CannotWork(TunerError):
    """This machine lacks what the study needs, a GPU for instance."""

    exit_code = 7


def render_faults(file: str, faults: Sequence[Fault]) -> str:
    """One located sentence per fault, each with its source line and a caret."""
    return "\n".join(_render_fault(file, fault) for fault in faults)


def render_short(file: str, fault: Fault) -> str:
    """The located sentence alone."""
    subject = f"{fault.path}: " if fault.path else ""
    place = f"{file}:{fault.line}:{fault.column}" if fault.line else "--set"
    return f"{place}: {subject}{fault.message}"


def _render_fault(file: str, fault: Fault) -> str:
    head = render_short(file, fault)
    if not fault.source.strip():
        return head
    # A tab keeps its width so that the caret stands under its character.
    margin = "".join("\t" if c == "\t" else " " for c in fault.source[: fault.column - 1])
    return f"{head}\n    {fault.source}\n    {margin}^"
