"""Guarantees 1 and 16: exactly N trials, whoever joins, on an empty or an older database."""

from pathlib import Path

import pytest
from agents import Fleet, open_fleet
from cells import Cells
from sqlalchemy.engine import make_url

from tuner.storage.connections.connection import open_database_url
from tuner.storage.schema import migrations

N_AGENTS = 8


@pytest.fixture
def first_version_url(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database of the first version of our schema."""
    first = migrations.load_migrations()[:1]
    with monkeypatch.context() as patched:
        patched.setattr(migrations, "load_migrations", lambda: first)
        database = open_database_url(make_url(empty_url))
        migrations.migrate(database)
        database.close()
    return empty_url


def _start_eight_at_once(url: str, folder: Path) -> None:
    cells = Cells(folder, sampler="random", trials=14, epochs=3, seconds=0.2)
    with open_fleet(url, folder) as fleet:
        agents = [fleet.start(cells.path, is_light=True) for _ in range(N_AGENTS)]
        assert [agent.wait() for agent in agents] == [0] * N_AGENTS, agents[0].output
        cells.check(fleet)
        owners = fleet.query("select count(distinct owner) from tuner.lease")
        assert owners[0][0] >= 2
        versions = fleet.query("select version from tuner.migration order by 1")
        assert versions == [(n,) for n in range(1, len(migrations.load_migrations()) + 1)]
        fleet.check_nothing_is_left()


def test_eight_agents_that_start_at_once_on_an_empty_database_use_up_the_budget_exactly(
    empty_url: str, tmp_path: Path
) -> None:
    _start_eight_at_once(empty_url, tmp_path)


@pytest.mark.long
def test_eight_agents_that_upgrade_an_older_database_at_once_use_up_the_budget_exactly(
    first_version_url: str, tmp_path: Path
) -> None:
    _start_eight_at_once(first_version_url, tmp_path)


def test_an_older_agent_on_a_newer_schema_is_refused_and_harms_nobody(
    fleet: Fleet, tmp_path: Path
) -> None:
    cells = Cells(tmp_path, n_x=2, n_y=1, epochs=4, seconds=0.2)
    n_known = len(migrations.load_migrations()) - 1
    agent = fleet.start(cells.path, is_light=True)
    older = fleet.start(cells.path, is_light=True, patches=[["older", n_known]])
    assert older.wait() == 4
    assert f"made by a newer tuner (schema {n_known + 1}, this one knows {n_known})" in older.output
    assert "Traceback" not in older.output
    assert agent.wait() == 0, agent.output
    cells.check(fleet)


def test_a_finished_study_takes_no_more_trials(fleet: Fleet, tmp_path: Path) -> None:
    cells = Cells(tmp_path, n_x=2, n_y=1, epochs=2, seconds=0.05)
    assert fleet.start(cells.path, is_light=True).wait() == 0
    again = fleet.start(cells.path, is_light=True)
    assert again.wait() == 0
    assert "finished, 2 of 2 trials" in again.output
    cells.check(fleet)
