"""The public record while real agents work: enqueued trials, deletion, the dashboard."""

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from sqlalchemy.engine import make_url

from tests.faults.agents import Fleet, open_fleet, write_study
from tests.integration.stores import close_stock, load_stock
from tuner.storage.connections.connection import Database, open_database_url


@pytest.fixture
def fleet(database_url: str, tmp_path: Path) -> Iterator[Fleet]:
    """Agents on a fresh database."""
    with open_fleet(database_url, tmp_path) as fleet:
        yield fleet


@pytest.fixture
def opened(database_url: str) -> Iterator[Database]:
    """The same database for a stock client."""
    database = open_database_url(make_url(database_url))
    yield database
    close_stock()
    database.close()


def _wait_for_study(fleet: Fleet) -> None:
    fleet.wait_for(lambda: fleet.query("select 1 from tuner.lease"), "a claimed trial")


def test_a_trial_enqueued_while_an_agent_runs_is_trained_with_exactly_these_params(
    fleet: Fleet, opened: Database, tmp_path: Path
) -> None:
    agent = fleet.start(write_study(tmp_path, epochs=12, width=128, trials=4, lanes="1"))
    _wait_for_study(fleet)
    stock = load_stock(opened, "faulty")
    wanted = {"learning_rate": 0.00325, "dropout": 0.125}
    stock.enqueue_trial(wanted)
    assert agent.wait() == 0, agent.output
    trials = load_stock(opened, "faulty").get_trials()
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 4
    (enqueued,) = [trial for trial in trials if trial.system_attrs]
    assert enqueued.params == wanted
    assert list(enqueued.intermediate_values) == list(range(1, 13))
    assert fleet.query("select n_claimed, next_draw from tuner.study") == [(4, 3)]
    for trial in trials:
        assert trial.value == min(trial.intermediate_values.values())
        assert trial.datetime_start is not None
        assert trial.datetime_complete is not None
        assert trial.datetime_complete > trial.datetime_start


def test_an_agent_whose_study_is_deleted_says_so_in_one_sentence_and_exits_3(
    fleet: Fleet, opened: Database, tmp_path: Path
) -> None:
    agent = fleet.start(write_study(tmp_path, epochs=400, width=128, trials=2))
    fleet.wait_for(lambda: fleet.n_reports() >= 1, "a report")
    stock = load_stock(opened, "faulty")
    optuna.delete_study(study_name="faulty", storage=stock._storage)
    assert agent.wait(30) == 3, agent.output
    (sentence,) = [line for line in agent.output.splitlines() if line.startswith("tuner:")]
    assert "was deleted while this agent worked on it" in sentence
    assert "Traceback" not in agent.output
    assert fleet.query("select 1 from tuner.lease") == []


def _get(port: int, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        assert answer.status == 200
        return json.load(answer)


@pytest.fixture
def dashboard(database_url: str) -> Iterator[int]:
    """The real optuna-dashboard on a free port of the loopback interface."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = Path(sys.executable).with_name("optuna-dashboard")
    process = subprocess.Popen(
        [command, database_url, "--host", "127.0.0.1", "--port", str(port), "--quiet"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    end = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            assert time.monotonic() < end, "the dashboard does not start"
            time.sleep(0.05)
    yield port
    process.kill()
    process.wait()


def test_the_dashboard_shows_the_trials_of_a_running_study(
    fleet: Fleet, tmp_path: Path, dashboard: int
) -> None:
    fleet.start(write_study(tmp_path, epochs=60, width=64, trials=3))
    fleet.wait_for(lambda: fleet.states().get("COMPLETE"), "a complete trial")
    (listed,) = _get(dashboard, "/api/studies")["study_summaries"]
    assert listed["study_name"] == "faulty"
    detail = _get(dashboard, f"/api/studies/{listed['study_id']}?after=0")
    first = detail["trials"][0]
    assert first["state"] == "Complete"
    assert [param["name"] for param in first["params"]] == ["learning_rate", "dropout"]
    assert len(first["intermediate_values"]) == 60
    assert detail["best_trials"]
