"""Schema changes retry briefly instead of queueing for locks, and name the blocking session."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import psycopg2
import psycopg2.errors
from sqlalchemy.exc import DBAPIError

from tuner.errors import DatabaseAway
from tuner.storage.connections.sessions import run
from tuner.storage.schema.optuna_tables import OPTUNA_TABLES
from tuner.study.secrets import redact

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

T = TypeVar("T")

MAX_WAIT_SECONDS = 10.0
# All statements on a table queue behind a lock request, so a try is short. With an
# autovacuum in the way it is longer than `deadlock_timeout` (1 s), after which Postgres ends that.
TRY_SECONDS = 0.2
AUTOVACUUM_SECONDS = 1.5
PAUSE_SECONDS = 0.4
_MAX_STATEMENT_CHARACTERS = 80


@dataclass(frozen=True, kw_only=True)
class Holder:
    """A transaction that holds locks on tuner's tables."""

    transaction: str  # Postgres' own name of it
    pid: int | None  # None: a prepared transaction
    role: str | None
    application: str | None
    state: str | None  # None: not shown to our role
    seconds: float | None  # since its begin
    statement: str | None

    @property
    def is_autovacuum(self) -> bool:
        """Return whether it is autovacuum: a process of the server has no role."""
        return self.pid is not None and self.role is None

    @property
    def sentence(self) -> str:
        """Describe the session for users: its origin and activity."""
        if self.pid is None:
            return f"a prepared transaction ({self.transaction}; pg_prepared_xacts lists them)"
        application = repr(self.application) if self.application else "no name"
        who = f"the database session with pid {self.pid} (role {self.role!r}, "
        who += f"application {application}"
        if self.state is None:
            return f"{who}; its activity is shown to an administrator only)"
        age = "" if self.seconds is None else f", in a transaction for {self.seconds:.0f} s"
        words = redact(" ".join((self.statement or "").split()))
        if len(words) > _MAX_STATEMENT_CHARACTERS:
            words = words[: _MAX_STATEMENT_CHARACTERS - 1] + "…"
        return f"{who}, {self.state}{age}, statement: {words})"


def find_holders(cursor: "Cursor") -> list[Holder]:
    """Return all transactions with such locks except this one."""
    rows = run(cursor, "locks", "holders", {"optuna_tables": list(OPTUNA_TABLES)})
    return [
        Holder(
            transaction=transaction,
            pid=pid,
            role=role,
            application=application,
            state=state,
            seconds=seconds,
            statement=statement,
        )
        for transaction, pid, role, application, state, seconds, statement in rows
    ]


def run_patiently(cursor: "Cursor", change: Callable[["Cursor", float], T]) -> T:
    """Run `change` in a transaction, again while locks of others block it.

    `change` gets the cursor, within the transaction, and the seconds left for waiting for locks
    that no agent needs. Raises `DatabaseAway`, naming the session that blocks, after
    `MAX_WAIT_SECONDS`; other errors of `change` are raised after a rollback.
    """
    until = time.monotonic() + MAX_WAIT_SECONDS
    stuck: list[Holder] | None = None
    while True:
        is_long = any(holder.is_autovacuum for holder in stuck or ())
        timeout = AUTOVACUUM_SECONDS if is_long else TRY_SECONDS
        left = max(until - time.monotonic(), timeout)
        cursor.execute(
            f"begin; set local lock_timeout = '{1000 * timeout:.0f}ms'; "
            "set local statement_timeout = '120s'; "
            "set local idle_in_transaction_session_timeout = '60s'"
        )
        try:
            changed = change(cursor, left)
            cursor.execute("commit")
            return changed
        except (psycopg2.Error, DBAPIError) as error:
            _roll_back(cursor)
            if not _is_passing(error):
                raise
            now = find_holders(cursor)
            before = {holder.transaction for holder in (now if stuck is None else stuck)}
            stuck = [holder for holder in now if holder.transaction in before]
            if time.monotonic() + timeout > until:
                raise DatabaseAway(_blocked(stuck or now)) from error
        except BaseException:
            _roll_back(cursor)
            raise
        time.sleep(PAUSE_SECONDS)


def _roll_back(cursor: "Cursor") -> None:
    if not cursor.connection.closed:
        cursor.execute("rollback")


def _is_passing(error: psycopg2.Error | DBAPIError) -> bool:
    """Return whether another try may succeed: after a lock, or a race with an Optuna client."""
    if isinstance(error, DBAPIError):  # from Optuna's own code
        return isinstance(error.orig, (*_PASSING, *_MADE_BY_OTHERS))
    return isinstance(error, _PASSING)


_PASSING = (psycopg2.errors.LockNotAvailable, psycopg2.errors.DeadlockDetected)
_MADE_BY_OTHERS = (
    psycopg2.errors.UniqueViolation,  # in the catalogue
    psycopg2.errors.DuplicateTable,
    psycopg2.errors.DuplicateObject,
)


def _blocked(holders: list[Holder]) -> str:
    begun = f"the schema cannot be changed: for {MAX_WAIT_SECONDS:.0f} s "
    if not holders:
        return f"{begun}other sessions held locks on its tables, one after the other; try again"
    more = f" and {len(holders) - 1} more" if len(holders) > 1 else ""
    pid = holders[0].pid
    end = "" if pid is None else f", or end it with `select pg_terminate_backend({pid})`"
    return (
        f"{begun}{holders[0].sentence}{more} held a lock on its tables; wait until it has ended"
        f"{end}, then try again"
    )
