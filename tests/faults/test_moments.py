"""Guarantees 1, 3, 4, 7: agents are stopped or killed at named moments, and the end is exact."""

import signal
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from agents import AgentProcess, Fleet
from cells import Cells

LEASE_SECONDS = 3.0
Moment = tuple[str, str, int]  # when, what, the how-manyeth time

CLAIM, REPORT, END = "claim.lock_numbers", "report.report", "end.fence_ends"
# Those that say most: between lock and write, between commit and answer.
FIRST: list[Moment] = [
    ("after", f"commit {CLAIM}", 1),
    ("after", REPORT, 3),
    ("before", f"commit {END}", 1),
    ("after", f"commit {END}", 1),
]
ALL: list[Moment] = [
    *FIRST,
    ("before", CLAIM, 1),
    ("after", CLAIM, 1),
    ("after", "claim.lock_budget", 1),
    ("before", f"commit {CLAIM}", 1),
    ("before", REPORT, 3),
    ("before", "report.insert_checkpoint", 1),
    ("after", "report.insert_checkpoint", 1),
    ("before", f"commit {REPORT}", 1),
    ("after", f"commit {REPORT}", 1),
    ("before", END, 1),
    ("after", END, 1),
    ("before", "agent.beat", 6),
    ("after", "agent.beat", 6),
    ("before", "feed.trials", 3),
]


def _run(fleet: Fleet, folder: Path, moments: Sequence[Moment], action: str) -> None:
    """A machine per moment and a healthy one; each meets its moment in the middle of its work."""
    cells = Cells(folder, n_y=2, epochs=6, seconds=0.3, every="0.2s")
    struck: dict[AgentProcess, Path] = {}
    for index, moment in enumerate(moments):
        marker = folder / f"moment-{index}"
        patches = [["machine", f"machine {index}"], ["moment", *moment, action, str(marker)]]
        struck[fleet.start(cells.path, is_light=True, patches=patches)] = marker
    fleet.wait_for(lambda: any(marker.exists() for marker in struck.values()), "a moment", 30)
    patches = [["machine", "healthy"]]
    healthy = fleet.start(cells.path, workers=2, is_light=True, patches=patches)
    if action == "kill":
        for agent in struck:
            assert agent.wait() == -signal.SIGKILL, agent.output
    else:
        _resume(fleet, struck)
        for agent in struck:
            assert agent.wait() == 0, agent.output
    assert healthy.wait() == 0, healthy.output
    cells.check(fleet)
    assert all(marker.exists() for marker in struck.values())
    fleet.check_nothing_is_left()


def _resume(fleet: Fleet, struck: dict[AgentProcess, Path]) -> None:
    """Each of them after its trials were lost."""
    waiting = dict(struck)
    end = time.monotonic() + 40
    while waiting:
        for agent, marker in list(waiting.items()):
            if marker.exists() and time.time() - float(marker.read_text()) > LEASE_SECONDS + 1.5:
                agent.send(signal.SIGCONT)
                del waiting[agent]
        outputs = "\n---\n".join(agent.output for agent in waiting)
        assert time.monotonic() < end, f"{list(waiting.values())} never came:\n{outputs}"
        time.sleep(0.05)


@pytest.mark.parametrize("action", ["stop", "kill"])
def test_agents_struck_at_once_at_four_moments_leave_an_exact_record(
    fleet: Fleet, tmp_path: Path, action: str
) -> None:
    _run(fleet, tmp_path, FIRST, action)


@pytest.mark.long
@pytest.mark.parametrize("action", ["stop", "kill"])
@pytest.mark.parametrize("moment", ALL, ids=lambda m: f"{m[0]} {m[1]}".replace(" ", "-"))
def test_an_agent_struck_at_a_moment_leaves_an_exact_record(
    fleet: Fleet, tmp_path: Path, moment: Moment, action: str
) -> None:
    _run(fleet, tmp_path, [moment], action)


@pytest.mark.parametrize("action", ["stop", "kill"])
def test_a_worker_struck_before_its_checkpoint_has_a_name_loses_the_steps_since_the_last(
    fleet: Fleet, tmp_path: Path, action: str
) -> None:
    import os

    cells = Cells(tmp_path, n_x=1, n_y=2, epochs=6, seconds=0.2, every="0.1s")
    marker = tmp_path / "renaming"
    patches = [["machine", "a"], ["stop_before_rename", 3, str(marker)]]
    agent = fleet.start(cells.path, is_light=True, patches=patches)
    fleet.wait_for(marker.exists, "the third checkpoint", 30)
    worker = int(marker.read_text())
    if action == "kill":
        os.kill(worker, signal.SIGKILL)
    else:
        time.sleep(1)
        os.kill(worker, signal.SIGCONT)
    assert agent.wait() == 0, agent.output
    cells.check(fleet)
    losses = [(0,), (1,)] if action == "kill" else [(0,), (0,)]
    assert fleet.query("select losses from tuner.lease order by 1") == losses
    assert cells.repeated() <= 2 / 14
    fleet.check_nothing_is_left()
