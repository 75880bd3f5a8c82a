"""One GPU, one agent: the row of the database, the lock of the machine, and who waits for whom."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.stores import TELEMETRY, StoreAgent, StoredStudy
from tuner.agent.occupancy import Occupancy

NONE: frozenset[str] = frozenset()
UUIDS = {"gpu:0": ("GPU-a",), "gpu:1": ("GPU-b",), "cpu:0": ()}


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two containers share a GPU and no folder."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    return tmp_path / "one", tmp_path / "two"


def occupancy(agent: StoreAgent, folder: Path) -> Occupancy:
    return Occupancy(agent.store, folder, agent.identity.boot, UUIDS)


def test_the_second_agent_waits_and_says_for_whom(
    study: StoredStudy, folders: tuple[Path, Path]
) -> None:
    first = study.agent()
    one = occupancy(first, folders[0])
    two = occupancy(study.agent(), folders[1])
    assert one.renew(NONE) == one.renew(NONE) == {}
    why = f"in use by an agent of study 'searched' ({first.identity.host}, pid 4711)"
    assert two.renew(NONE) == {"gpu:0": why, "gpu:1": why}
    assert one.renew(frozenset({"gpu:0"})) == {"gpu:0": ""}, "it rests there at a user's request"
    assert two.renew(NONE) == {"gpu:1": why}
    assert one.renew(NONE) == {"gpu:0": why}
    first.store.leave(TELEMETRY)
    assert two.renew(NONE) == {}
    one.close()
    two.close()


def test_a_lost_agents_gpus_are_free_after_its_lease(
    study: StoredStudy, folders: tuple[Path, Path]
) -> None:
    lost, heir = study.agent(), study.agent()
    occupancy(lost, folders[0]).renew(NONE)
    two = occupancy(heir, folders[1])
    assert set(two.renew(NONE)) == {"gpu:0", "gpu:1"}
    study.query(
        "update tuner.agent set seen_at = now() - interval '4 s' where agent_id = %s", lost.id
    )
    assert two.renew(NONE) == {}
    assert set(occupancy(lost, folders[0]).renew(NONE)) == {"gpu:0", "gpu:1"}, "it learns it"


def test_the_gpus_of_a_killed_process_of_this_machine_are_free_at_once(
    study: StoredStudy, folders: tuple[Path, Path]
) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    killed, heir = study.agent(boot="this"), study.agent(boot="this")
    study.query("update tuner.agent set pid = %s where agent_id = %s", ended.pid, killed.id)
    killed.store.take_devices(["GPU-a", "GPU-b"])
    assert occupancy(heir, folders[0]).renew(NONE) == {}
    elsewhere = study.agent(boot="other")
    assert set(occupancy(elsewhere, folders[1]).renew(NONE)) == {"gpu:0", "gpu:1"}


def test_agents_of_two_databases_on_one_machine_meet_at_the_lock(
    study: StoredStudy, folders: tuple[Path, Path]
) -> None:
    one = occupancy(study.agent(), folders[0])
    one.renew(NONE)
    study.query("update tuner.device set agent_id = null")  # as another database has it
    two = occupancy(study.agent(), folders[0])
    why = f"in use by another agent of this machine (pid {os.getpid()})"
    assert two.renew(NONE) == {"gpu:0": why, "gpu:1": why}
    one.close()
    assert two.renew(NONE) == {}
    assert sorted(path.name for path in folders[0].iterdir()) == ["GPU-a.lock", "GPU-b.lock"]


def test_a_lock_that_cannot_be_written_blocks_the_gpu(study: StoredStudy, tmp_path: Path) -> None:
    two = occupancy(study.agent(), tmp_path / "missing")
    assert "cannot be opened: No such file" in two.renew(NONE)["gpu:0"]
