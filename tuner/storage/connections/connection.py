"""Connections: the URL, the pool, and the driver's errors as tuner's."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, cast

import psycopg2
import psycopg2.errors
import sqlalchemy
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tuner.errors import (
    DatabaseAway,
    DatabaseDenied,
    DatabaseError,
    DatabaseRefused,
    PoolerUnfit,
    TunerError,
    UsageError,
)
from tuner.storage.connections.certificates import find_reason
from tuner.storage.connections.connecting import connect, is_exposed, libpq_keywords
from tuner.storage.connections.hosts import spread_hosts
from tuner.storage.connections.reconnects import is_refusal
from tuner.study.secrets import redact, remember

if TYPE_CHECKING:
    from psycopg2.extensions import connection as RawConnection

# Names that other packages pass to this one, without importing SQLAlchemy themselves.
DatabaseUrl: TypeAlias = URL
Snapshot: TypeAlias = sqlalchemy.Connection  # from `Database.reading`

N_CONNECTIONS = 8  # of a pool; the dashboard has as many threads
MIN_SERVER_VERSION = 130000  # pg_current_xact_id() and the xid8 type


@dataclass(frozen=True, kw_only=True)
class Database:
    engine: sqlalchemy.Engine
    warnings: tuple[str, ...] = ()  # advice about the connection for the user
    revive: Callable[[], None] | None = None  # starts it again where it is ours
    is_read_only: bool = False  # every transaction begins so: no pooler can lose that

    def open_raw(self) -> "RawConnection":
        """Open a connection outside the pool, in autocommit mode unless it is read-only.

        An embedded server that has died is started again.
        """
        try:
            return self._open_raw()
        except DatabaseAway as error:
            if self.revive is None or isinstance(error, DatabaseRefused):
                raise
            with suppress(TunerError, OSError):  # the second attempt reports the error
                self.revive()
            return self._open_raw()

    def _open_raw(self) -> "RawConnection":
        with database_errors():
            raw = connect(self.engine.url)
        if self.is_read_only:
            raw.readonly = True
        else:
            raw.autocommit = True
        return raw

    def open_dbapi(self) -> "RawConnection":
        """Open a connection for another engine on the same database; raises the driver's errors."""
        return connect(self.engine.url)

    @contextmanager
    def reading(self) -> Iterator[sqlalchemy.Connection]:
        """Yield a read-only connection whose statements all see the same snapshot."""
        with (
            database_errors(),
            self.engine.connect() as connection,
            connection.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            ).begin(),
        ):
            yield connection

    def close(self) -> None:
        self.engine.dispose()


def open_database_url(url: URL) -> Database:
    """Connect once and check the server's version; raises `DatabaseError`, `DatabaseAway`."""
    engine = sqlalchemy.create_engine(
        url,
        creator=partial(connect, url),
        pool_size=2,
        max_overflow=N_CONNECTIONS - 2,
        pool_pre_ping=True,  # one that an outage has broken is not handed out
    )
    database = Database(engine=engine)
    try:
        raw = database.open_raw()
    except PoolerUnfit:
        raise  # it was reached, and the sentence is complete
    except DatabaseError as error:
        where = render_url(url) or "the database"
        hint = _hint(str(error), url)
        raise type(error)(f"cannot reach the database {where}: {error}{hint}") from error
    with raw_closing(raw):
        if raw.server_version < MIN_SERVER_VERSION:
            version = raw.server_version // 10000
            raise DatabaseError(
                f"{render_url(url)} is Postgres {version}; tuner needs version "
                f"{MIN_SERVER_VERSION // 10000} or newer"
            )
        encoding = raw.info.parameter_status("server_encoding")
        if encoding not in ("UTF8", "SQL_ASCII"):
            raise DatabaseError(
                f"{render_url(url)} stores text as {encoding}, which cannot hold every name and "
                "log; make a database with `createdb --encoding UTF8 --template template0`"
            )
        return replace(database, warnings=_warnings(raw))


# Advice by the text of libpq or the server.
_HINTS = (
    ("could not translate host name", "check the host's name"),
    ("local user with ID .* does not exist", "the URL names no role, and this user has no name on "
     "this machine that could stand for it: write postgresql://ROLE@HOST/DATABASE"),
    ("invalid connection option|invalid sslmode|invalid port", "correct the URL"),
    ("timeout expired", "nothing answered within 5 s: check the address and firewalls on the way, "
     "and whether the server is stopped or overloaded"),
    ("password authentication failed", "check the user, and the password in TUNER_STORAGE, "
     "PGPASSWORD or the password file"),
    ("no password supplied", "put it into ~/.pgpass (mode 0600), the file that PGPASSFILE names, "
     "or the URL in TUNER_STORAGE"),
    ("no pg_hba.conf entry", "the server's pg_hba.conf must let this user in from this machine"),
    ('database ".*" does not exist', "make it (createdb), or name another one"),
    ('role ".*" does not exist', "make it (createuser), or name another user"),
    ("permission denied for database", "its owner grants `connect` on it"),
    ("server does not support SSL", "switch TLS on at the server, or do not ask for it"),
    ("alert certificate expired", "the certificate that this machine shows (sslcert) has expired: "
     "renew it"),
    ("alert unknown ca|alert bad certificate|alert certificate", "the server does not accept the "
     "certificate that this machine shows (sslcert)"),
    ("does not match host name", "the URL must name the host of the certificate"),
    ("root certificate file", "put the certificate of its issuer there, or name another file with "
     "sslrootcert"),
    ("unsupported startup parameter", "the connection pooler refuses `options`: take it out of the "
     "URL and of PGOPTIONS"),
    ("query_wait_timeout", "the connection pooler had no session free: raise its "
     "default_pool_size, or stop other clients"),
    ("definition of service", "check the name, and the file that PGSERVICEFILE names"),
)  # fmt: skip


def _hint(text: str, url: URL) -> str:
    if "certificate verify failed" in text:
        return f"; {_certificate_hint(url)}"
    return next((f"; {hint}" for said, hint in _HINTS if re.search(said, text)), "")


def _certificate_hint(url: URL) -> str:
    reason = find_reason(libpq_keywords(url))
    if reason is None:
        return "check sslrootcert, and whether the certificate is valid now"
    if "expired" in reason:
        return "the server's certificate has expired: its administrator renews it"
    if "not yet valid" in reason:
        return (
            "the server's certificate is not valid yet: compare the clocks of this machine and "
            "of the one that issued it"
        )
    return f"check sslrootcert, which has to hold the certificate of its issuer ({reason})"


def _warnings(raw: "RawConnection") -> tuple[str, ...]:
    """Warn about an unencrypted connection to another host, which the network can read."""
    if not is_exposed(raw):
        return ()
    return (
        f"the connection to the database on {raw.info.host} is not encrypted; add ?sslmode=require "
        "(or verify-full) to its URL",
    )


@contextmanager
def raw_closing(raw: "RawConnection") -> Iterator[None]:
    try:
        yield
    finally:
        raw.close()


def parse_url(text: str) -> URL:
    """Return the URL with its driver made explicit; raises `UsageError` for anything but Postgres.

    SQLAlchemy 2.1 takes plain `postgresql://` for psycopg 3, so the driver is always named.
    """
    try:
        text = re.sub(r"^postgres://", "postgresql://", text.strip())
        url = make_url(spread_hosts(text))
        if url.get_backend_name() == "postgresql":
            libpq_keywords(url.set(drivername="postgresql+psycopg2"))  # hosts and ports go together
    except (ArgumentError, ValueError) as error:
        raise UsageError(
            "the database URL cannot be read; it looks like postgresql://user@host:5432/name "
            "(several hosts: host1:5432,host2:5432)"
        ) from error
    if url.get_backend_name() != "postgresql":
        raise UsageError(
            f"the database URL names {url.get_backend_name()}; tuner works with postgresql://"
        )
    for secret in (url.password, *(url.query.get(name) for name in _SECRETS)):
        remember(secret if isinstance(secret, str) else None)
    return url.set(drivername="postgresql+psycopg2")


_SECRETS = ("password", "sslpassword")  # in the query
PASSWORD_REFUSED = (
    "a password on the command line can be read by every user of this machine; "
    "put the URL into TUNER_STORAGE, or the password into a file named by PGPASSFILE, "
    "or name a service (postgresql:///?service=NAME)"
)


def parse_argument(text: str) -> URL:
    """Parse a URL from the command line, where every user of the machine can read it."""
    if re.search(r"password\s*=", text, re.IGNORECASE):  # in a query, or words as libpq takes them
        raise UsageError(PASSWORD_REFUSED)
    url = parse_url(text)
    if url.password is not None:
        raise UsageError(PASSWORD_REFUSED)
    return url


def render_url(url: URL) -> str:
    """Return the URL without its password, for display; with a password file it works as it is."""
    shown = URL.create(
        url.drivername,
        username=url.username,
        host=url.host,
        port=url.port,
        database=url.database,
        query={key: value for key, value in url.query.items() if key not in _SECRETS},
    )
    # A socket's folder and several hosts: both forms are read.
    return shown.render_as_string().replace("%2F", "/").replace("%2C", ",")


def storage_setting(argument: str | None) -> URL | None:
    """Return `--storage`, otherwise `TUNER_STORAGE`, otherwise None for the embedded server."""
    if argument is not None:
        return parse_argument(argument)
    text = os.environ.get("TUNER_STORAGE")
    return parse_url(text) if text else None


@contextmanager
def database_errors() -> Iterator[None]:
    """Raise the driver's errors as tuner's, with a text that contains no secret."""
    try:
        yield
    except DBAPIError as error:
        raise _translate(cast("psycopg2.Error", error.orig)) from error
    except PoolTimeout as error:
        raise DatabaseAway("too many readers at once; try again in a moment") from error
    except psycopg2.Error as error:
        raise _translate(error) from error


# By SQLSTATE class: the connection, the operator, and conflicts that a second try solves.
# 25006, a read-only server: after a switch-over, until we are connected to the new primary.
_TRANSIENT = re.compile(r"08...|57P0[1-5]|57014|25P03|25006|40001|40P01|55P03|53...")


_WAITS = {
    "55P03": "another session of the database held a lock for too long; try again, or end that "
    "session: pg_locks and pg_stat_activity show it",
    "57014": "the database took too long for a statement; try again: it is overloaded, or another "
    "session holds a lock",
    "25P03": "the database ended the session because this process was silent within a transaction",
}


def _translate(error: psycopg2.Error) -> DatabaseError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = redact("; ".join(lines) or type(error).__name__)
    code = error.pgcode
    if code is None:
        # libpq itself: no connection, or a broken one. Wrong credentials stay wrong.
        is_broken = isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError)
        return DatabaseAway(text) if is_broken and not is_refusal(text) else DatabaseError(text)
    if code in _WAITS:
        text = f"{_WAITS[code]} ({text})"
    if code == "25006":
        text = f"the database takes no writes, as a standby does: name the primary ({text})"
    if code == "42501":
        return DatabaseDenied(f"{_role_of(error)} may not do this ({text}); {_ASK_THE_OWNER}")
    return DatabaseAway(text) if _TRANSIENT.fullmatch(code) else DatabaseError(text)


_ASK_THE_OWNER = (
    "the owner of the studies gives rights with `tuner db grant worker ROLE`, or `reader` to look "
    "only, and alone deletes studies"
)


def _role_of(error: psycopg2.Error) -> str:
    cursor = error.cursor
    user = None if cursor is None else cursor.connection.info.user  # None: closed by now
    return "this role" if user is None else f"the role {user!r}"
