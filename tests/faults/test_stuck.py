"""Guarantee 18: an agent that is stuck while it holds a lock blocks the others at most 10 s."""

import os
import signal
import time
from itertools import pairwise
from pathlib import Path

import pytest
from agents import Fleet, open_fleet
from cells import Cells
from networks import open_network
from servers import open_external

MAX_SECONDS = 10.0
MOMENTS = [
    ("after", "claim.lock_budget"),  # new claims wait for it
    pytest.param(("after", "claim.lock_numbers"), marks=pytest.mark.long),  # deletion waits for it
    pytest.param(("after", "end.fence_ends"), marks=pytest.mark.long),  # a takeover passes it by
]


def _longest_silence(fleet: Fleet, since: float) -> float:
    """In the history of the study, from then on."""
    rows = fleet.query(
        "select extract(epoch from at) from tuner.event where at > to_timestamp(%s) order by 1",
        since,
    )
    times = [since, *(float(at) for (at,) in rows)]
    return max(b - a for a, b in pairwise(times))


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda m: m[1])
def test_an_agent_that_is_stopped_with_a_lock_in_its_hands_blocks_the_others_only_shortly(
    fleet: Fleet, tmp_path: Path, moment: tuple[str, str]
) -> None:
    # Each claim of the others is a new one, so they need the lock again and again.
    cells = Cells(tmp_path, n_x=5, n_y=4, epochs=2, seconds=0.3)
    marker = tmp_path / "stuck"
    patches = [["machine", "stuck"], ["moment", *moment, 1, "stop", str(marker)]]
    stuck = fleet.start(cells.path, is_light=True, patches=patches)
    fleet.wait_for(marker.exists, "the lock", 30)
    other = fleet.start(cells.path, is_light=True, workers=2, patches=[["machine", "other"]])
    assert other.wait() == 0, other.output
    silence = _longest_silence(fleet, float(marker.read_text()))
    stuck.send(signal.SIGCONT)
    assert stuck.wait() == 0, stuck.output
    cells.check(fleet)
    print(f"stopped {moment[0]} {moment[1]}: the others stood still for {silence:.1f} s")
    assert silence < MAX_SECONDS
    fleet.check_nothing_is_left()


@pytest.mark.long
@pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
@pytest.mark.parametrize("moment", MOMENTS, ids=lambda m: m[1])
def test_an_agent_that_is_cut_off_with_a_lock_in_its_hands_blocks_the_others_only_shortly(
    tuner_home: object, tmp_path: Path, moment: tuple[str, str]
) -> None:
    cells = Cells(tmp_path, n_x=5, n_y=4, epochs=2, seconds=0.3)
    marker = tmp_path / "stuck"
    with (
        open_network(1) as network,
        open_external(addresses=[network.address]) as server,
        open_fleet(server.url, tmp_path) as fleet,
    ):
        patches = [["machine", "stuck"], ["moment", *moment, 1, "hold", str(marker)]]
        stuck = fleet.start(
            cells.path,
            is_light=True,
            patches=patches,
            url=server.url_at(network.address),
            namespace=network.machines[0],
        )
        fleet.wait_for(marker.exists, "the lock", 30)
        network.cut(0)
        since = time.time()
        other = fleet.start(cells.path, is_light=True, workers=2, patches=[["machine", "other"]])
        assert other.wait() == 0, other.output
        silence = _longest_silence(fleet, since)
        network.heal(0)
        marker.unlink()
        assert stuck.wait() == 0, stuck.output
        cells.check(fleet)
        print(f"cut off {moment[0]} {moment[1]}: the others stood still for {silence:.1f} s")
        assert silence < MAX_SECONDS
        fleet.check_nothing_is_left()
