"""Guarantee 14: the machines' clocks and time zones do not matter."""

import signal
from pathlib import Path

from agents import Fleet
from cells import Cells

HOURS = 3600.0


def test_clocks_three_hours_apart_and_a_time_zone_change_nothing(
    fleet: Fleet, tmp_path: Path
) -> None:
    cells = Cells(tmp_path, n_y=2, epochs=6, seconds=0.4)
    agents = [
        fleet.start(cells.path, is_light=True, workers=2, patches=patches, environment=environment)
        for patches, environment in (
            ([["machine", "fast"], ["clock", 3 * HOURS]], {}),
            ([["machine", "slow"], ["clock", -3 * HOURS]], {}),
            ([["machine", "tokyo"]], {"PGTZ": "Asia/Tokyo", "TZ": "Asia/Tokyo"}),
        )
    ]
    held = "select 1 from tuner.lease where state = 'held' group by owner"
    fleet.wait_for(lambda: len(fleet.query(held)) == 3, "three agents at work")
    agents[0].send(signal.SIGKILL)
    agents[0].process.wait()
    assert [agent.wait() for agent in agents[1:]] == [0, 0], agents[1].output + agents[2].output
    cells.check(fleet)
    ((n_held, n_losses),) = fleet.query("select count(*), sum(losses) from tuner.lease")
    taken = fleet.query("select count(*) from tuner.event where kind = 'taken_over'")
    assert taken == [(n_losses,)]
    assert 1 <= n_losses <= 2, "what the dead one held, and nothing of the living ones"
    hours = fleet.query(
        "select max(abs(extract(epoch from datetime_start - (now() at time zone 'utc')))),"
        " max(abs(extract(epoch from datetime_complete - (now() at time zone 'utc')))) from trials"
    )
    assert max(hours[0]) < 600, "the record has the server's time, in UTC"
    assert n_held == 8
    fleet.check_nothing_is_left()
