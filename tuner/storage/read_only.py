"""A database that can only be looked at, whatever its role may do."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import sqlalchemy

from tuner.storage.connection import Database

if TYPE_CHECKING:
    from psycopg2.extensions import connection as RawConnection


def read_only(database: Database) -> Database:
    """The same database by connections on which the server refuses every write."""

    def connect() -> "RawConnection":
        raw = database.open_dbapi()
        raw.set_session(readonly=True)
        return raw

    return replace(database, engine=_engine(database, connect))


def _engine(database: Database, connect: "Callable[[], RawConnection]") -> sqlalchemy.Engine:
    return sqlalchemy.create_engine(
        database.engine.url,
        creator=connect,
        pool_size=3,
        max_overflow=2,
        pool_pre_ping=True,
    )
