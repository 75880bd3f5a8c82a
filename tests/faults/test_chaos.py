"""Guarantees 1 to 4, 7 and 20 at once: everything fails at random, and the record is exact."""

import os
import random
from pathlib import Path

import pytest
from agents import open_fleet
from chaos import Chaos, write_cells
from networks import open_network
from servers import open_external

from tuner.storage.connections.connection import open_database_url, parse_url
from tuner.storage.schema.migrations import migrate

SEED = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(1_000_000))


def _run(folder: Path, seed: int, seconds: float, n_trials: int) -> bool:
    """Check a run; return whether it is conclusive."""
    folder.mkdir()
    cells = write_cells(folder, n_trials)
    with (
        open_network(3) as network,
        open_external(addresses=[network.address]) as server,
        open_fleet(server.url, folder) as fleet,
    ):
        database = open_database_url(parse_url(server.url))
        migrate(database)
        database.close()
        chaos = Chaos(
            seed=seed, seconds=seconds, cells=cells, fleet=fleet, server=server, network=network
        )
        try:
            chaos.run()
            chaos.check()
            return chaos.is_conclusive()
        except BaseException:
            print("\n".join(chaos.log))
            print("\n---\n".join(agent.output for agent in fleet.agents))
            raise
        finally:
            print(chaos.summary())


@pytest.mark.timeout(400)
@pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
def test_a_bad_minute_leaves_an_exact_record(tuner_home: object, tmp_path: Path) -> None:
    # On a busy machine, too little may happen within the time.
    runs = (_run(tmp_path / str(n), SEED + n, seconds=26, n_trials=24) for n in range(8))
    assert any(runs), "no run in which a trial was taken over and a zombie came back"


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
@pytest.mark.parametrize("offset", range(10))
def test_a_bad_night_leaves_an_exact_record(
    tuner_home: object, tmp_path: Path, offset: int
) -> None:
    assert _run(tmp_path / "night", SEED + offset, seconds=90, n_trials=72)
