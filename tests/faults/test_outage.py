"""Guarantee 5: the database restarts while workers train on. Any Postgres from 13 on."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from agents import open_fleet, write_study
from cells import Cells
from servers import ExternalServer, open_external


@pytest.fixture
def external() -> Iterator[ExternalServer]:
    with open_external() as server:
        yield server


@pytest.mark.long
def test_postgres_restarts_while_workers_train_and_every_report_is_there_once(
    external: ExternalServer, tuner_home: object, tmp_path: Path
) -> None:
    study = write_study(tmp_path, epochs=150, width=256, trials=2)
    with open_fleet(external.url, tmp_path) as fleet:
        agent = fleet.start(study, workers=2)
        fleet.wait_for(lambda: fleet.n_reports() >= 3, "three reports")
        external.restart("immediate", away_seconds=2)
        assert agent.wait() == 0, agent.output
        assert "the database is away, training continues" in agent.output
        assert "the database is back" in agent.output
        assert "canary-password" not in agent.output
        assert fleet.states() == {"COMPLETE": 2}
        assert fleet.query("select number, attempt, losses from tuner.lease order by 1") == [
            (0, 1, 0),
            (1, 1, 0),
        ]
        steps = fleet.query(
            "select number, step from trial_intermediate_values join trials using (trial_id)"
        )
        assert sorted(steps) == [(number, step) for number in (0, 1) for step in range(1, 151)]


@pytest.mark.long
def test_no_live_agent_loses_its_trial_by_an_outage_longer_than_the_lease(
    external: ExternalServer, tuner_home: object, tmp_path: Path
) -> None:
    study = write_study(tmp_path, epochs=400, width=256, trials=1, lease="1s")
    with open_fleet(external.url, tmp_path) as fleet:
        busy = fleet.start(study)
        fleet.wait_for(lambda: fleet.n_reports() >= 2, "two reports")
        idle = fleet.start(study)
        fleet.wait_for(lambda: "waiting for 1 trial elsewhere" in idle.output, "an idle agent")
        external.restart("fast", away_seconds=3)
        assert [busy.wait(), idle.wait()] == [0, 0], busy.output + idle.output
        assert fleet.query("select attempt, losses from tuner.lease") == [(1, 0)]
        assert fleet.states() == {"COMPLETE": 1}


@pytest.mark.long
def test_a_signal_during_an_outage_ends_the_agent_within_its_grace_and_costs_a_loss_at_most(
    external: ExternalServer, tuner_home: object, tmp_path: Path
) -> None:
    study = Cells(tmp_path, n_x=1, n_y=1, epochs=400, seconds=0.2, lease="1s").path
    with open_fleet(external.url, tmp_path) as fleet:
        agent = fleet.start(study, is_light=True)
        fleet.wait_for(lambda: fleet.n_reports() >= 2, "two reports")
        external.stop()
        fleet.wait_for(lambda: "the database is away" in agent.output, "the outage noticed")
        asked_at = time.monotonic()
        agent.send(signal.SIGTERM)
        assert agent.wait(15) == 143, agent.output
        assert time.monotonic() - asked_at < 9, "the grace is 8 s"
        assert "the last releases may not have reached it" in agent.output
        assert "Traceback" not in agent.output
        external.start()
        heir = fleet.start(study, is_light=True)
        fleet.wait_for(
            lambda: fleet.query("select 1 from tuner.lease where attempt = 2"), "the takeover"
        )
        heir.send(signal.SIGTERM)
        assert heir.wait() == 143
        assert fleet.query("select failures, losses from tuner.lease") == [(0, 1)]


def test_a_signal_ends_the_agent_within_its_grace_although_the_database_hangs(
    external: ExternalServer, tuner_home: object, tmp_path: Path
) -> None:
    study = Cells(tmp_path, n_x=1, n_y=1, epochs=400, seconds=0.2).path
    with open_fleet(external.url, tmp_path) as fleet:
        agent = fleet.start(study, is_light=True)
        fleet.wait_for(lambda: fleet.n_reports() >= 2, "two reports")
        processes = external.processes()
        for pid in processes:
            with suppress(ProcessLookupError):  # such as a worker of the vacuum
                os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(0.5)
            asked_at = time.monotonic()
            agent.send(signal.SIGTERM)
            assert agent.wait(15) == 143, agent.output
            took = time.monotonic() - asked_at
            assert took < 11, "the grace is 8 s, and a busy machine needs some time to exit"
        finally:
            for pid in processes:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
        assert "the last releases may not have reached it" in agent.output
        assert "Traceback" not in agent.output
