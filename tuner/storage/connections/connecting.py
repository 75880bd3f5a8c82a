"""Opening of a connection: libpq's keywords, TLS if it is required, and tuner's settings."""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, partial
from typing import TYPE_CHECKING, Any, cast

import psycopg2
from psycopg2 import extensions
from sqlalchemy.engine import URL

from tuner.errors import DatabaseAway, DatabaseError
from tuner.storage.connections.pooling import Pooling
from tuner.storage.connections.reconnects import Reconnects, is_answer
from tuner.study.secrets import remember

if TYPE_CHECKING:
    from psycopg2.extensions import connection as RawConnection
    from psycopg2.extensions import cursor as Cursor

_LOOPBACK = {"localhost", "::1"}

# Only settings that poolers know reach the server: they refuse others.
CONNECT_ARGS: dict[str, object] = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "application_name": "tuner",
    "client_encoding": "UTF8",  # in spite of PGCLIENTENCODING and the database's default
}


@dataclass(frozen=True, kw_only=True)
class _Known:
    """Facts about a URL that this process has learned."""

    pooling: Pooling = field(default_factory=Pooling)
    reconnects: Reconnects = field(default_factory=Reconnects)


@cache
def _known(_: URL) -> _Known:
    return _Known()


def connect(url: URL) -> "RawConnection":
    """Connect with tuner's settings, unless the URL sets others.

    Raises the driver's errors, `DatabaseError` for a connection that tuner refuses,
    `DatabaseRefused` if it is refused although an earlier connection of this process was accepted.
    """
    known = _known(url)
    known.reconnects.admit()
    try:
        raw = _open(url, known.pooling)
    except (psycopg2.Error, DatabaseError) as error:
        known.pooling.has_own_sessions = False  # it may be set up otherwise when it is back
        # A connection that tuner itself refuses, such as one without TLS, may become acceptable.
        is_ours = isinstance(error, DatabaseError) and not isinstance(error, DatabaseAway)
        known.reconnects.fail(str(error), is_refusal=is_ours or is_answer(str(error)))
        raise
    known.reconnects.succeed()
    return raw


def libpq_keywords(url: URL) -> dict[str, Any]:
    """Return libpq's keywords of a URL; `ArgumentError` if hosts and ports differ in number."""
    _, keywords = url.get_dialect()().create_connect_args(url)
    return dict(keywords)


def _open(url: URL, pooling: Pooling) -> "RawConnection":
    keywords = libpq_keywords(url)
    given = str(keywords.get("options", os.environ.get("PGOPTIONS", "")))
    needs_tls = _is_tls_required()
    more = {"sslmode": _demanded_sslmode(keywords)} if needs_tls else {}
    keywords = {**CONNECT_ARGS, **keywords, **more}
    keywords = {name: value for name, value in keywords.items() if value is not None}
    remember(os.environ.get("PGPASSWORD"))
    raw: RawConnection = psycopg2.connect(**keywords)
    try:
        remember(raw.info.password)  # a password file's, for instance
        if needs_tls and is_exposed(raw):
            raise DatabaseError(
                "the connection is not encrypted, and TLS is required; add ?sslmode=require (or "
                "verify-full) to the URL or to the service"
            )
        extensions.register_type(_UTC_TIMESTAMPS, raw)
        raw.autocommit = True
        pooling.settle(raw, partial(psycopg2.connect, **keywords, async_=1), given)
        raw.autocommit = False
    except BaseException:
        with suppress(psycopg2.Error):
            raw.close()
        raise
    return raw


def _in_utc(text: str | bytes | None, cursor: "Cursor") -> datetime | None:
    """Read a timestamp in UTC, whatever the time zone of the session."""
    moment: datetime | None = extensions.PYDATETIMETZ(text, cursor)
    return None if moment is None else moment.astimezone(UTC)


_UTC_TIMESTAMPS = extensions.new_type((1184,), "UTC_TIMESTAMPS", _in_utc)


def is_exposed(raw: "RawConnection") -> bool:
    """Return whether the server is on another machine and the network can read the traffic."""
    return not (is_here(raw.info.host or "") or raw.info.ssl_in_use)


def is_here(host: str) -> bool:
    """Return whether all hosts are sockets or loopback addresses, with no network in between."""
    return all(
        name in _LOOPBACK or name.startswith(("/", "@", "127.")) or not name
        for name in host.split(",")
    )


def _is_tls_required() -> bool:
    """Return whether TLS is required; `--require-tls` sets it for the whole process."""
    return os.environ.get("TUNER_REQUIRE_TLS", "").lower() not in ("", "0", "no", "false")


_ENCRYPTED = ("require", "verify-ca", "verify-full")


def _demanded_sslmode(keywords: Mapping[str, object]) -> str | None:
    """Return the sslmode with which libpq refuses before it sends a password; None for no change.

    A service file may require more, and this value would override it: that is checked afterwards.
    """
    given = keywords.get("sslmode", os.environ.get("PGSSLMODE"))
    host = str(keywords.get("host", os.environ.get("PGHOST", "")))
    is_service = "service" in keywords or "PGSERVICE" in os.environ
    if given in _ENCRYPTED or is_service or is_here(host):
        return cast("str | None", keywords.get("sslmode"))
    return "require"
