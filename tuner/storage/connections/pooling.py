"""Settings of a connection, also behind a pooler such as PgBouncer.

A pooler in session mode reserves a session for the whole connection. One in transaction mode gives
every transaction another session: a session's setting is lost there and reaches the sessions of
other clients. So nothing is set before the mode is known.
"""

import select
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg2
from psycopg2 import extensions
from psycopg2.sql import SQL, Identifier, Literal

from tuner.errors import DatabaseAway, PoolerUnfit
from tuner.storage.queries import load_queries

if TYPE_CHECKING:
    from psycopg2.extensions import connection as RawConnection
    from psycopg2.extensions import cursor as Cursor

# Without these, one paused or vanished process that holds a row lock stops the fleet for as long
# as one cares to watch; with them, seconds (measured: 5 s).
TIMEOUTS = {
    "idle_in_transaction_session_timeout": "5s",
    "lock_timeout": "8s",
    "statement_timeout": "30s",
}
# The server's side of the connection: otherwise one whose machine is cut off and gives up stays for
# the system's two hours. Behind a pooler, the pooler's connections are meant.
_KEEPALIVES = {
    "tcp_keepalives_idle": "5s",
    "tcp_keepalives_interval": "2s",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10s",
}
_N_PROBES = 8  # other clients of a busy pool can hide a shared session for some rounds
_PROBE_SECONDS = 5.0

OpenProbe = Callable[[], "RawConnection"]  # a connection to the same database, in asynchronous mode


@dataclass(frozen=True, kw_only=True)
class Standing:
    """The server or pooler behind a connection."""

    role: str
    database: str
    missing: tuple[str, ...]  # time-outs that a new session does not have by itself


@dataclass(kw_only=True)
class Pooling:
    """Sets up the connections to one URL; remembers whether a session stays reserved."""

    has_own_sessions: bool = False

    def settle(self, raw: "RawConnection", open_probe: OpenProbe, given: str) -> None:
        """Apply tuner's settings to a connection in autocommit mode, except those in `given`.

        Raises `PoolerUnfit` for a pooler whose configuration cannot serve a study.
        """
        settings = {n: v for n, v in (TIMEOUTS | _KEEPALIVES).items() if n not in given}
        values = {"names": list(settings), "values": list(settings.values())}
        queries = load_queries("pooling")
        with raw.cursor() as cursor:
            cursor.execute(queries["settle"], {**values, "pid": raw.info.backend_pid})
            if cursor.fetchone() == (True, len(settings)):
                return
            _begin(cursor, open_probe)
            standing = read_standing(cursor)
            cursor.execute("commit")
            if not set(standing.missing) & settings.keys():
                return  # the role has them, wherever its sessions come from
            if not self.has_own_sessions and _are_sessions_shared(cursor, open_probe):
                raise PoolerUnfit(_lacks_limits(cursor, standing))
            self.has_own_sessions = True
            cursor.execute(queries["keep"], values)


def is_pooled(cursor: "Cursor") -> bool:
    """Return whether a pooler is in between."""
    return _served_by(cursor) != cursor.connection.info.backend_pid


def read_standing(cursor: "Cursor") -> Standing:
    """Read the facts from the session that serves this statement."""
    cursor.execute(load_queries("pooling")["standing"], {"names": list(TIMEOUTS)})
    ((role, database, missing),) = cursor.fetchall()
    return Standing(role=role, database=database, missing=tuple(missing))


def _begin(cursor: "Cursor", open_probe: OpenProbe) -> None:
    """Begin a transaction; raises `PoolerUnfit` for a pooler that allows none.

    Such a pooler answers single statements, and closes every connection that begins a transaction,
    in some versions without a message.
    """
    try:
        cursor.execute("begin")
    except psycopg2.OperationalError as error:
        if "statement pooling" not in str(error) and not _is_closed_by_begin(open_probe):
            raise
        raise PoolerUnfit(
            "the connection pooler in front of this database pools statements, so that no "
            "transaction is possible; set its pool_mode to transaction or session, or connect to "
            "Postgres itself"
        ) from error


def _is_closed_by_begin(open_probe: OpenProbe) -> bool:
    """Return whether a second connection, accepted before, is closed as well."""
    until = time.monotonic() + _PROBE_SECONDS
    with closing(open_probe()) as probe:
        _wait(probe, until)
        cursor = probe.cursor()
        cursor.execute("select 1")
        _wait(probe, until)
        try:
            cursor.execute("begin")
            _wait(probe, until)
        except psycopg2.OperationalError:
            return True
    return False


def _are_sessions_shared(cursor: "Cursor", open_probe: OpenProbe) -> bool:
    """Return whether a session serves other clients between two transactions of this one.

    A second client begins a transaction while the first one is idle. If it gets the same session,
    sessions are shared. If it gets another one and holds that, the first client's next transaction
    may get a third one. A pooler that assigns its sessions in turn shows this in the second round.
    """
    until = time.monotonic() + _PROBE_SECONDS
    with closing(open_probe()) as probe:
        _wait(probe, until)
        mine = _served_by(cursor)
        with probe.cursor() as other:
            for n_before in range(_N_PROBES):
                other.execute("begin; select pg_backend_pid()")
                _wait(probe, until)
                ((theirs,),) = other.fetchall()
                again = _served_by(cursor)
                other.execute("commit")
                _wait(probe, until)
                if theirs == mine or again != mine:
                    return True
                # The session released last is not the first client's. Asking only in every second
                # round finds it, and keeps out of step with a pooler that takes turns.
                if n_before % 2 and _served_by(cursor) != mine:
                    return True
    return False


def _served_by(cursor: "Cursor") -> int:
    cursor.execute("select pg_backend_pid()")
    ((pid,),) = cursor.fetchall()
    return int(pid)


def _wait(probe: "RawConnection", until: float) -> None:
    """Wait for an answer until a deadline: a pooler without a free session makes clients wait."""
    while (state := probe.poll()) != extensions.POLL_OK:
        poll = select.poll()
        poll.register(probe, select.POLLIN if state == extensions.POLL_READ else select.POLLOUT)
        if not poll.poll(max(0.0, 1000 * (until - time.monotonic()))):
            raise DatabaseAway(
                f"the connection pooler gave no second connection within {_PROBE_SECONDS:.0f} s, "
                "and an agent needs several; raise its default_pool_size"
            )


def render_limits(
    role: str, database: str, scope: "Cursor", timeouts: Mapping[str, str] | None = TIMEOUTS
) -> str:
    """Render the statements that set a role's time-outs in a database; None resets them."""
    query = load_queries("pooling")["unlimit" if timeouts is None else "limit"]
    text = "\n".join(line for line in query.splitlines() if not line.startswith("--"))
    names = {"role": Identifier(role), "database": Identifier(database)}
    return "".join(
        SQL(text).format(**names, name=SQL(name), value=Literal(value)).as_string(scope) + ";\n"
        for name, value in (timeouts or TIMEOUTS).items()
    )


def _lacks_limits(cursor: "Cursor", standing: Standing) -> str:
    missing = {name: TIMEOUTS[name] for name in standing.missing}
    statements = render_limits(standing.role, standing.database, cursor, missing)
    return (
        f"the connection pooler in front of this database pools transactions, and the role "
        f"{standing.role!r} has no time-outs there, so that one silent agent could block all "
        f"others; run once as this role or as an administrator "
        f"`{' '.join(statements.split())}`, then let the pooler connect again (RECONNECT in the "
        f"console of PgBouncer), or set its pool_mode to session"
    )
