"""The database of a command: the named one, otherwise this machine's embedded server."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from sqlalchemy.engine import URL, make_url

from tuner.storage.connections.connection import Database, open_database_url
from tuner.storage.embedded.home import open_home
from tuner.storage.embedded.listening import Listen
from tuner.storage.embedded.server import open_server


@contextmanager
def open_database(url: URL | None, listen: Listen | None = None) -> Iterator[Database]:
    """Connect; without a URL, start or join the embedded server and hold it meanwhile.

    `listen`: the address at which the embedded server serves other machines.

    Raises `DatabaseError`, `DatabaseAway`.
    """
    if url is not None:
        database = open_database_url(url)
        try:
            yield database
        finally:
            database.close()
        return
    server = open_server(open_home(), listen)
    try:
        with open_database(make_url(server.url)) as database:
            yield replace(database, revive=server.revive)
    finally:
        server.close()
