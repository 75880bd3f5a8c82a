"""The exception tree of tuner, with the exit code of each command that fails."""

from collections.abc import Sequence
from dataclasses import dataclass


class TunerError(Exception):
    """An error that the user can act on, in one sentence: event, location and next step."""

    exit_code = 1


class RunFailed(TunerError):
    """The run cannot continue for a reason outside the trials."""


class UsageError(TunerError):
    """The command line requests something impossible or inconsistent."""

    exit_code = 2


class NeedsConsent(UsageError):
    """The command has a consequence that the user has to confirm."""


class BadRows(UsageError, ValueError):
    """Rows that a model cannot predict from; a `ValueError` too, as Python's libraries raise it."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault in a study file, with its position."""

    line: int  # from 1; 0 for `--set`
    column: int  # from 1
    path: str  # "search_space.lr", empty for the file as a whole
    message: str  # the fault and its fix
    source: str  # the line of the file, without its end


class StudyFileError(TunerError):
    """The study file is not valid; `faults` holds every fault, sorted by position."""

    exit_code = 2

    def __init__(self, file: str, faults: Sequence[Fault], n_more: int = 0) -> None:
        """Build the error; `n_more` faults are not listed."""
        self.file = file
        self.faults = tuple(faults)
        more = f"\n{file}: and {n_more} more; fix these first" if n_more else ""
        super().__init__(render_faults(file, self.faults) + more)


class StudyMismatch(TunerError):
    """A different study has this name; the message lists the differences."""

    exit_code = 2


class NotFound(TunerError):
    exit_code = 3


class StudyGone(NotFound):
    """The study was deleted while this agent worked on it."""


class DatabaseError(TunerError):
    """The database refuses the request, or its content does not fit this version."""

    exit_code = 4


class DatabaseDenied(DatabaseError):
    """The role has no right to do this."""


class DatabaseAway(DatabaseError):
    """The database cannot be reached now; the same call may succeed later."""


class DatabaseRefused(DatabaseAway):
    """A reconnect was refused: this process was accepted before, and may be again."""


class PoolerUnfit(DatabaseError):
    """The connection pooler in front of the database needs another configuration."""


class StoreFails(TunerError):
    """The checkpoint store does not answer, or refuses the request."""


class ObjectMissing(TunerError):
    """The checkpoint store has no such object, or another one in its place."""


class NoCompleteTrial(TunerError):
    exit_code = 5


class HaltedByFailures(TunerError):
    """Too many trials have failed in a row: `failures.stop_after`."""

    exit_code = 6


class CannotWork(TunerError):
    """This machine lacks a requirement of the study, a GPU for instance."""

    exit_code = 7


def render_faults(file: str, faults: Sequence[Fault]) -> str:
    """Render one located sentence per fault, each with its source line and a caret."""
    return "\n".join(_render_fault(file, fault) for fault in faults)


def render_short(file: str, fault: Fault) -> str:
    """Render the located sentence alone."""
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
