"""Diagnosis of a database for `tuner doctor`, without changing it."""

import time
from dataclasses import dataclass

import psycopg2.errors

from tuner.storage.connections.connecting import is_here
from tuner.storage.connections.connection import Database, database_errors, raw_closing
from tuner.storage.connections.pooling import is_pooled, read_standing
from tuner.storage.connections.sessions import run
from tuner.storage.schema.migrations import OPTUNA_REVISIONS, load_migrations, read_versions
from tuner.storage.schema.roles import RoleKind, find_kind, read_rights

N_PINGS = 5


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    role: str
    server_version: str
    is_standby: bool
    tls: str | None  # its version as we see it ourselves, through proxies too; None: not encrypted
    is_local: bool  # no network in between
    is_pooled: bool  # a connection pooler is in between
    has_limits: bool  # the role's sessions have time-outs by themselves
    clock_seconds: float  # the server's clock minus ours
    round_trip_seconds: float
    optuna_revision: str | None  # None: no such schema yet
    known_revisions: frozenset[str]
    schema_version: int  # 0: none yet
    known_version: int
    can_create: bool  # schemas in this database
    has_tables: bool  # created by any program
    kind: RoleKind | None  # the role's kind; None: it cannot even read
    missing: tuple[str, ...]  # rights that the next better kind has ("insert on trials")


def diagnose(database: Database) -> Diagnosis:
    """Read the facts; raises `DatabaseError`."""
    raw = database.open_raw()
    with database_errors(), raw_closing(raw), raw.cursor() as cursor:
        trips = []
        for _ in range(N_PINGS):
            began = time.monotonic()
            run(cursor, "diagnosis", "ping", {})
            trips.append(time.monotonic() - began)
        before = time.time()
        (server,) = run(cursor, "diagnosis", "server", {})
        ours = (before + time.time()) / 2
        rights = read_rights(cursor)
        kind, missing = find_kind(rights)
        try:
            revision, version = read_versions(cursor) if kind or not rights else (None, 0)
        except psycopg2.errors.InsufficientPrivilege:
            revision, version = None, 0
        tls = raw.info.ssl_attribute("protocol") if raw.info.ssl_in_use else None
        is_local = is_here(raw.info.host or "")
        pooled = is_pooled(cursor)
        has_limits = not read_standing(cursor).missing
    role, server_version, clock, is_standby, can_create = server
    return Diagnosis(
        role=role,
        server_version=server_version,
        is_standby=is_standby,
        tls=tls,
        is_local=is_local,
        is_pooled=pooled,
        has_limits=has_limits,
        clock_seconds=clock - ours,
        round_trip_seconds=min(trips),
        optuna_revision=revision,
        known_revisions=OPTUNA_REVISIONS,
        schema_version=version,
        known_version=len(load_migrations()),
        can_create=can_create,
        has_tables=bool(rights),
        kind=kind,
        missing=tuple(missing),
    )
