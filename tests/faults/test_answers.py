"""Guarantee 7: a commit whose answer was lost is harmless. A proxy swallows real answers."""

from pathlib import Path

from agents import open_fleet
from cells import Cells
from proxies import open_proxy
from servers import open_external

# What only these statements contain.
CLAIM, REPORT, END = b"for key share of s", b"-- Intermediate values", b"-- Lock the leases"


def test_a_claim_a_report_and_an_end_whose_answers_are_lost_count_once(
    tuner_home: object, tmp_path: Path
) -> None:
    cells = Cells(tmp_path, n_x=2, n_y=2, epochs=6, seconds=0.2, every="30s")
    with (
        open_external() as server,
        open_proxy(server.port) as (proxy, port),
        open_fleet(server.url, tmp_path) as fleet,
    ):
        proxy.swallow(CLAIM)
        url = server.url.replace(str(server.port), str(port))
        agent = fleet.start(cells.path, is_light=True, url=url)
        for n, words in enumerate([REPORT, END, REPORT, CLAIM, END], 1):
            fleet.wait_for(lambda n=n: proxy.n_swallowed == n, "a lost answer")  # type: ignore[misc]
            proxy.swallow(words)
        fleet.wait_for(lambda: proxy.n_swallowed == 6, "the last lost answer")
        assert agent.wait() == 0, agent.output
        cells.check(fleet)
        leases = fleet.query("select attempt, losses, failures from tuner.lease")
        assert leases == [(1, 0, 0)] * 4
        assert fleet.query("select n_claimed, next_draw from tuner.study") == [(4, 4)]
        assert cells.repeated() == 0
        fleet.check_nothing_is_left()
