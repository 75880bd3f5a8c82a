"""Guarantees 1 and 5 behind a real PgBouncer, which is restarted while an agent works."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from agents import open_fleet
from cells import Cells

from tests.pooler import PASSWORD, needs_pgbouncer, open_owned_database, open_pooler
from tests.postgres import SystemPostgres, open_system_postgres
from tuner.storage.connections.pooling import TIMEOUTS

AWAY = "the database is away"
pytestmark = needs_pgbouncer


@pytest.fixture(scope="module")
def postgres() -> Iterator[SystemPostgres]:
    with open_system_postgres() as running:
        yield running


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_an_agent_outlasts_a_restart_of_its_pooler(
    postgres: SystemPostgres, tuner_home: object, tmp_path: Path, mode: str
) -> None:
    cells = Cells(tmp_path, n_x=2, n_y=1, epochs=30, seconds=0.2)
    with open_owned_database(postgres, f"behind_{mode}") as name, open_pooler(postgres, mode) as p:
        if mode == "transaction":
            for timeout, value in TIMEOUTS.items():
                postgres.sql(f"alter role owner in database {name} set {timeout} = '{value}'")
        direct = f"postgresql://owner:{PASSWORD}@127.0.0.1:{postgres.port}/{name}"
        with open_fleet(direct, tmp_path) as fleet:
            agent = fleet.start(cells.path, is_light=True, workers=2, url=p.url("owner", name))
            fleet.wait_for(lambda: fleet.n_reports() >= 3, "three reports")
            p.stop()
            fleet.wait_for(lambda: AWAY in agent.output, "the outage")
            p.start()
            assert agent.wait() == 0, agent.output
            assert "the database is back" in agent.output
            cells.check(fleet)
            locks = fleet.query("select count(*) from pg_locks where locktype = 'advisory'")
            assert locks == [(0,)]
