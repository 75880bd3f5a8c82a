"""A database that is only read, whatever its role is allowed to do."""

from dataclasses import replace

import sqlalchemy

from tuner.storage.connections.connection import N_CONNECTIONS, Database


def read_only(database: Database) -> Database:
    """Return the same database with transactions in which the server refuses any write.

    Each begins with `begin read only`: a setting of the session would be lost in a pooler.
    """
    engine = sqlalchemy.create_engine(
        database.engine.url,
        creator=database.open_dbapi,
        execution_options={"postgresql_readonly": True},
        pool_size=3,
        max_overflow=N_CONNECTIONS - 3,
        pool_timeout=5.0,  # a page that waits longer shows so
        pool_pre_ping=True,
    )
    return replace(database, engine=engine, is_read_only=True)
