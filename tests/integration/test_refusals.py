"""Every kind of refusal by a real Postgres, for what was accepted before; the pool included."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
from anyio import CapacityLimiter

from tests.pooler import PASSWORD, open_owned_database
from tests.postgres import SystemPostgres, open_system_postgres
from tuner.dashboard.follower import Follower
from tuner.errors import DatabaseAway, DatabaseError, DatabaseRefused, NotFound
from tuner.storage.connections import reconnects
from tuner.storage.connections.connection import Database, open_database_url, parse_url
from tuner.storage.connections.read_only import read_only
from tuner.storage.connections.sessions import Session
from tuner.storage.schema.migrations import migrate

PAUSE_SECONDS = 0.5
REFUSALS = {
    "password": ("alter role owner password 'another'", f"alter role owner password '{PASSWORD}'"),
    "login": ("alter role owner nologin", "alter role owner login"),
    "connections": ("alter role owner connection limit 0", "alter role owner connection limit -1"),
    "database": (
        "alter database refusing allow_connections false",
        "alter database refusing allow_connections true",
    ),
    "pg_hba": ("", ""),
}


@pytest.fixture(scope="module")
def postgres() -> Iterator[SystemPostgres]:
    with open_system_postgres() as running:
        yield running


@pytest.fixture
def database(postgres: SystemPostgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.setattr(reconnects, "PAUSE_SECONDS", PAUSE_SECONDS)
    with open_owned_database(postgres, "refusing") as name:
        url = f"postgresql://owner:{PASSWORD}@127.0.0.1:{postgres.port}/{name}"
        with closing(open_database_url(parse_url(url))) as database:
            migrate(database)
            yield database


def _refuse(postgres: SystemPostgres, kind: str) -> None:
    rules = postgres.folder / "data" / "pg_hba.conf"
    if kind == "pg_hba":
        rules.write_text("local all all trust\n")
        postgres.sql("select pg_reload_conf()")
    postgres.sql(REFUSALS[kind][0] or "select 1")
    postgres.sql("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'owner'")


def _accept(postgres: SystemPostgres, kind: str) -> None:
    rules = postgres.folder / "data" / "pg_hba.conf"
    rules.write_text("local all all trust\nhost all all all scram-sha-256\n")
    postgres.sql("select pg_reload_conf()")
    postgres.sql(REFUSALS[kind][1] or "select 1")


def _count(database: Database) -> int:
    with database.reading() as connection:
        return int(connection.exec_driver_sql("select count(*) from studies").scalar() or 0)


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_refused_reconnect_is_an_outage_that_ends_by_itself(
    postgres: SystemPostgres, database: Database, kind: str
) -> None:
    with closing(Session(database)) as session, closing(read_only(database)) as looked:
        session.rows("join", "find", {"name": "x"})
        assert (_count(database), _count(looked)) == (0, 0)
        _refuse(postgres, kind)
        time.sleep(0.1)
        with pytest.raises(DatabaseAway):  # the connection that was there
            session.rows("join", "find", {"name": "x"})
        for _ in range(2):
            with pytest.raises(DatabaseRefused, match="FATAL"):
                session.rows("join", "find", {"name": "x"})
            with pytest.raises(DatabaseRefused):
                _count(database)
            with pytest.raises(DatabaseRefused):
                _count(looked)
        _accept(postgres, kind)
        end = time.monotonic() + 20
        while True:
            try:
                assert session.rows("join", "find", {"name": "x"}) == []
                break
            except DatabaseRefused:
                assert time.monotonic() < end
                time.sleep(0.1)
        assert (_count(database), _count(looked)) == (0, 0)


def test_the_first_refusal_is_an_error_at_once(
    postgres: SystemPostgres, database: Database
) -> None:
    url = f"postgresql://owner:wrong@127.0.0.1:{postgres.port}/refusing"
    with pytest.raises(DatabaseError, match="check the user, and the password") as error:
        open_database_url(parse_url(url))
    assert not isinstance(error.value, DatabaseAway)


def test_pages_outlast_a_refusal(postgres: SystemPostgres, database: Database) -> None:
    async def look() -> list[type[Exception]]:
        kinds: list[type[Exception]] = []
        follower = Follower(name="none", database=looked, limiter=CapacityLimiter(1))
        for change in (None, _refuse, _accept):
            if change is not None:
                change(postgres, "password")
                time.sleep(PAUSE_SECONDS + 0.2)
            try:
                await follower.look(0.0)
            except (NotFound, DatabaseAway) as error:
                kinds.append(type(error))
        return kinds

    with closing(read_only(database)) as looked:
        assert asyncio.run(look()) == [NotFound, DatabaseRefused, NotFound]


def test_the_first_of_several_hosts_that_answers_is_used(
    postgres: SystemPostgres, database: Database
) -> None:
    hosts = f"127.0.0.1:1,127.0.0.1:{postgres.port}"
    text = f"postgresql://owner:{PASSWORD}@{hosts}/refusing?target_session_attrs=read-write"
    with closing(open_database_url(parse_url(text))) as found:
        assert _count(found) == 0
