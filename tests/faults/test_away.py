"""Guarantees 4 and 5: the database, or a machine's link to it, is away longer than the lease."""

import os
import signal
from pathlib import Path

import pytest
from agents import Fleet, open_fleet
from cells import Cells
from networks import open_network
from servers import open_external

LONG = pytest.param(30.0, marks=pytest.mark.long)


def _wait_until_idle(fleet: Fleet, what: str) -> None:
    fleet.wait_for(lambda: "waiting for 1 trial elsewhere" in fleet.agents[-1].output, what)


@pytest.mark.parametrize("seconds", [8.0, LONG])
def test_the_database_is_away_and_training_does_not_notice(
    tuner_home: object, tmp_path: Path, seconds: float
) -> None:
    n_epochs = 45 if seconds < 10 else 160
    cells = Cells(tmp_path, n_x=1, n_y=1, epochs=n_epochs, seconds=0.25)
    with open_external() as server, open_fleet(server.url, tmp_path) as fleet:
        busy = fleet.start(cells.path, is_light=True, patches=[["machine", "busy"]])
        fleet.wait_for(lambda: fleet.n_reports() >= 2, "two reports")
        idle = fleet.start(cells.path, is_light=True, patches=[["machine", "idle"]])
        _wait_until_idle(fleet, "an idle agent")
        server.restart("fast", seconds)
        assert [busy.wait(), idle.wait()] == [0, 0], busy.output + idle.output
        cells.check(fleet)
        assert fleet.query("select attempt, losses from tuner.lease") == [(1, 0)]
        assert cells.repeated() == 0
        pause = cells.longest_pause()
        print(f"away {seconds:.0f} s: the longest pause between two epochs was {pause:.3f} s")
        assert pause < 1
        fleet.check_nothing_is_left()


def _lose_after_an_outage(folder: Path, mutant: str | None = None) -> None:
    """An outage, then the agent is killed: what it reported meanwhile is its heir's only source."""
    cells = Cells(folder, n_x=1, n_y=1, epochs=40, seconds=0.25, every="0.5s")
    with open_external() as server, open_fleet(server.url, folder) as fleet:
        patches = [["machine", "first"], *([[mutant]] if mutant else [])]
        first = fleet.start(cells.path, is_light=True, patches=patches)
        fleet.wait_for(lambda: fleet.n_reports() >= 2, "two reports")
        server.restart("immediate", 2)
        saved = "select max(step) from tuner.checkpoint"
        ((before,),) = fleet.query(saved)
        fleet.wait_for(lambda: fleet.query(saved)[0][0] > before + 10, "a later checkpoint")
        first.send(signal.SIGKILL)
        heir = fleet.start(cells.path, is_light=True, patches=[["machine", "heir"]])
        assert heir.wait() == 0, heir.output
        cells.check(fleet)


@pytest.mark.long
def test_what_was_reported_during_an_outage_is_there_although_its_agent_dies_later(
    tuner_home: object, tmp_path: Path
) -> None:
    _lose_after_an_outage(tmp_path)


@pytest.mark.long
def test_mutant_dropreports_is_noticed(tuner_home: object, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="trial 0"):
        _lose_after_an_outage(tmp_path, "dropreports")


@pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
@pytest.mark.parametrize("seconds", [8.0, LONG])
def test_a_machine_that_was_cut_off_loses_its_trial_and_goes_on_working(
    tuner_home: object, tmp_path: Path, seconds: float
) -> None:
    cells = Cells(tmp_path, n_x=2, n_y=1, epochs=30, seconds=0.25, every="0.5s")
    with (
        open_network(2) as network,
        open_external(addresses=[network.address]) as server,
        open_fleet(server.url, tmp_path) as fleet,
    ):
        cut, other = (
            fleet.start(
                cells.path,
                is_light=True,
                workers=1,
                url=server.url_at(network.address),
                namespace=name,
                patches=[["machine", name]],
            )
            for name in network.machines
        )
        each = "select 1 from trial_intermediate_values group by trial_id having count(*) > 2"
        fleet.wait_for(lambda: len(fleet.query(each)) == 2, "two trials in training")
        network.cut(0)
        fleet.wait_for(
            lambda: fleet.query("select 1 from tuner.lease where attempt = 2"), "the takeover", 30
        )
        fleet.wait_for(lambda: not network.cut_seconds(0) < seconds, "the time to pass", 40)
        network.heal(0)
        fleet.wait_for(lambda: "lost, another agent holds it now" in cut.output, "the refusal", 30)
        assert [cut.wait(), other.wait()] == [0, 0], cut.output + other.output
        cells.check(fleet)
        assert fleet.query("select attempt, losses from tuner.lease order by 1") == [(1, 0), (2, 1)]
        fleet.check_nothing_is_left()
