"""Guarantee 8: SIGTERM at any moment hands the work back, at once and with its last steps."""

import os
import random
import signal
import time
from pathlib import Path

import pytest
from agents import AgentProcess, Fleet
from cells import Cells

SEED = int(os.environ.get("STOPS_SEED") or random.SystemRandom().randrange(1_000_000))
GRACE_SECONDS = 8.0

STUBBORN = """\
import signal
import time

def train(trial):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    trial.report(step=1, val_loss=1.0)
    while True:
        time.sleep(3600)  # it looks at nothing
"""


def _stop_at_random_moments(fleet: Fleet, folder: Path, n_stops: int) -> None:
    """One agent after the other, each ended after a while; the last one ends the study."""
    rng = random.Random(SEED)
    delays = [rng.uniform(0.0, 1.6) for _ in range(n_stops)]
    print(f"seed {SEED}: ended after {[round(delay, 2) for delay in delays]} s")
    cells = Cells(folder, n_x=2, n_y=2, epochs=5 + n_stops, seconds=0.2, every="30s")
    for index, delay in enumerate(delays):
        patches = [["machine", f"machine {index}"]]
        agent = fleet.start(cells.path, is_light=True, workers=2, patches=patches)
        fleet.wait_for(lambda a=agent: "workers: " in a.output, "a start")  # type: ignore[misc]
        time.sleep(delay)
        asked_at = time.monotonic()
        agent.send(signal.SIGTERM)
        code = agent.wait(GRACE_SECONDS + 2)
        assert time.monotonic() - asked_at < GRACE_SECONDS
        assert code in (143, 0), agent.output
        assert fleet.query("select 1 from tuner.lease where state = 'held'") == []
        fleet.check_nothing_is_left()
    last = fleet.start(cells.path, is_light=True, workers=2, patches=[["machine", "last"]])
    assert last.wait() == 0, last.output
    cells.check(fleet)
    losses = fleet.query("select distinct losses, failures from tuner.lease")
    assert losses == [(0, 0)], "handing back counts as nothing"
    assert cells.repeated() == 0, "a clean stop repeats no epoch"


def test_agents_that_are_ended_at_three_random_moments_lose_nothing(
    fleet: Fleet, tmp_path: Path
) -> None:
    _stop_at_random_moments(fleet, tmp_path, 3)


@pytest.mark.long
@pytest.mark.timeout(240)
def test_agents_that_are_ended_at_twenty_random_moments_lose_nothing(
    fleet: Fleet, tmp_path: Path
) -> None:
    _stop_at_random_moments(fleet, tmp_path, 20)


def _start_stubborn(fleet: Fleet, folder: Path, grace: str) -> AgentProcess:
    """An agent whose worker is in a trial that heeds nothing."""
    cells = Cells(folder, n_x=1, n_y=1, grace=grace)
    (folder / "train.py").write_text(STUBBORN)
    agent = fleet.start(cells.path, is_light=True)
    fleet.wait_for(lambda: fleet.n_reports() == 1, "a report")
    return agent


def test_a_worker_that_heeds_nothing_is_killed_within_the_grace(
    fleet: Fleet, tmp_path: Path
) -> None:
    agent = _start_stubborn(fleet, tmp_path, "6s")
    (worker, *_) = agent.workers()
    asked_at = time.monotonic()
    agent.send(signal.SIGTERM)
    os.kill(worker, signal.SIGTERM)
    assert agent.wait(10) == 143, agent.output
    assert time.monotonic() - asked_at < 6
    assert fleet.query("select state, losses, failures from tuner.lease") == [("free", 0, 0)]
    fleet.check_nothing_is_left()


def test_two_signals_end_the_agent_at_once_and_the_trial_is_still_released(
    fleet: Fleet, tmp_path: Path
) -> None:
    agent = _start_stubborn(fleet, tmp_path, "60s")
    agent.send(signal.SIGINT)
    time.sleep(0.6)  # sooner it would count as the echo of a wrapper
    agent.send(signal.SIGINT)
    assert agent.wait(30) == 130, agent.output  # the grace alone would take 55 s
    assert fleet.query("select state, losses, failures from tuner.lease") == [("free", 0, 0)]
    fleet.check_nothing_is_left()
