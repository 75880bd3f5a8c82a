"""A database that can only be looked at, whatever its role may do."""

from dataclasses import replace

import sqlalchemy
from sqlalchemy.engine import URL

from tuner.storage.connection import N_CONNECTIONS, Database

_READ_ONLY = "-c default_transaction_read_only=on"


def read_only(database: Database) -> Database:
    """The same database; on every connection of it the server refuses what would write."""
    url = _with_option(database.engine.url)
    plain = replace(database, engine=sqlalchemy.create_engine(url))  # names the connections
    engine = sqlalchemy.create_engine(
        url,
        creator=plain.open_dbapi,
        pool_size=3,
        max_overflow=N_CONNECTIONS - 3,
        pool_timeout=5.0,  # a page that waits longer says so
        pool_pre_ping=True,
    )
    return replace(database, engine=engine)


def _with_option(url: URL) -> URL:
    given = url.query.get("options", "")
    options = " ".join([*([given] if isinstance(given, str) else given), _READ_ONLY]).strip()
    return url.update_query_dict({"options": options})
