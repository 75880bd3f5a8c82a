"""What `tuner doctor` asks a database, without changing anything in it."""

import time
from dataclasses import dataclass

from tuner.storage.connection import Database, database_errors, raw_closing
from tuner.storage.migrations import OPTUNA_REVISIONS, load_migrations, read_versions
from tuner.storage.sessions import run

N_PINGS = 5


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """A database as it is found."""

    role: str
    server_version: str
    is_standby: bool
    has_tls: bool
    is_local: bool  # a socket of this machine
    clock_seconds: float  # the server's clock minus ours
    round_trip_seconds: float
    optuna_revision: str | None  # None: no such schema yet
    known_revisions: frozenset[str]
    schema_version: int  # 0: none yet
    known_version: int
    can_create: bool
    can_read: bool | None  # None: nothing there to read
    can_write: bool | None
    can_delete: bool | None


def diagnose(database: Database) -> Diagnosis:
    """Raises `DatabaseError`."""
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
        (rights,) = run(cursor, "diagnosis", "rights", {})
        revision, version = read_versions(cursor)
    role, server_version, clock, is_standby, has_tls, is_local = server
    can_create, can_use, can_read, can_write, can_delete = rights
    return Diagnosis(
        role=role,
        server_version=server_version,
        is_standby=is_standby,
        has_tls=bool(has_tls),
        is_local=is_local,
        clock_seconds=clock - ours,
        round_trip_seconds=min(trips),
        optuna_revision=revision,
        known_revisions=OPTUNA_REVISIONS,
        schema_version=version,
        known_version=len(load_migrations()),
        can_create=can_create,
        can_read=can_read if can_use is not False else False,
        can_write=can_write,
        can_delete=can_delete,
    )
