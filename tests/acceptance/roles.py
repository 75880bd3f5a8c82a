"""Login roles on the session's server: the kernel vouches for our user, whatever role it names."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2.sql import SQL, Identifier
from sqlalchemy.engine import make_url

from tests.conftest import _administer
from tuner.storage.embedded.binaries import find_server_name
from tuner.storage.embedded.home import Home
from tuner.storage.embedded.server import Server

OWNER, WORKER, READER, STRANGER = "t_owner", "t_worker", 'the "reader" of 100%', "t_stranger"
ROLES = (OWNER, WORKER, READER, STRANGER)


@contextmanager
def login_roles(server: Server, home: Home) -> Iterator[None]:
    """The four of them, none with any right yet."""
    identities = home.server / "data" / "pg_ident.conf"
    before = identities.read_text()
    names = [role.replace('"', '""') for role in ROLES]
    _replace(
        identities, before + "".join(f'owner {find_server_name().name} "{n}"\n' for n in names)
    )
    for name in names:
        _administer(server, f'create role "{name}" login')
    _administer(server, "select pg_reload_conf()")
    yield
    for name in names:
        _administer(server, f'drop role "{name}"')
    _replace(identities, before)
    _administer(server, "select pg_reload_conf()")


def _replace(path: Path, text: str) -> None:
    """At once: the server may be reading it."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(text)
    shutil.copystat(path, new)
    os.chown(new, path.stat().st_uid, path.stat().st_gid)
    new.rename(path)


@contextmanager
def owned_database(server: Server, name: str) -> Iterator[str]:
    """An empty database of the owner, who is no superuser."""
    _administer(server, f"create database {name} owner {OWNER}")
    yield name
    _administer(server, f"drop database {name} with (force)")


def url_as(server: Server, database: str, role: str) -> str:
    """The URL of a role."""
    url = make_url(server.url).set(database=database, username=role)
    return url.render_as_string(hide_password=False)


def query_as(server: Server, database: str, role: str, statement: str) -> list[tuple[Any, ...]]:
    """The rows of a statement that a role runs; raises what the server says."""
    raw = psycopg2.connect(host=str(server.socket_folder), user=role, dbname=database)
    try:
        with raw, raw.cursor() as cursor:
            cursor.execute(SQL(statement).format(me=Identifier(role)))
            return cursor.fetchall() if cursor.description else []
    finally:
        raw.close()
