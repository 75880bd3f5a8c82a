"""Guarantee 6: a standby that misses the last seconds takes over, and the record is exact."""

import time
from pathlib import Path

import pytest
from agents import open_fleet
from cells import Cells
from servers import PASSWORD, open_external

LAG_SECONDS = 4


@pytest.mark.long
def test_a_standby_that_misses_four_seconds_takes_over_and_the_record_is_exact(
    tuner_home: object, tmp_path: Path
) -> None:
    cells = Cells(tmp_path, n_x=4, n_y=3, epochs=8, seconds=0.3)
    with (
        open_external() as primary,
        open_external(standby_of=primary) as standby,
        open_fleet(primary.url, tmp_path) as fleet,
    ):
        hosts = f"host=127.0.0.1:{primary.port}&host=127.0.0.1:{standby.port}"
        url = f"postgresql://fleet:{PASSWORD}@/postgres?{hosts}&target_session_attrs=read-write"
        agents = [
            fleet.start(cells.path, is_light=True, workers=2, url=url, patches=[["machine", name]])
            for name in ("one", "two")
        ]
        fleet.wait_for(lambda: fleet.states().get("COMPLETE", 0) >= 2, "two trials")
        fleet.url = standby.url
        fleet.alter_system("primary_conninfo", "")  # from here on it hears no more
        time.sleep(LAG_SECONDS)
        fleet.url = primary.url
        n_done = fleet.states()["COMPLETE"]
        primary.stop()
        standby.promote()
        fleet.url = standby.url
        n_kept = fleet.states().get("COMPLETE", 0)
        assert n_kept < n_done, "nothing was missed: the run proves nothing"
        assert [agent.wait() for agent in agents] == [0, 0], agents[0].output + agents[1].output
        cells.check(fleet)
        print(f"failover: {n_done - n_kept} ends were missed, {cells.repeated():.0%} repeated")
        fleet.check_nothing_is_left()
