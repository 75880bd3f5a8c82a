"""Folders below TUNER_HOME that disappear under an agent, and the disk below them."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from agents import Fleet, write_study
from cells import Cells

SAVED = "select max(step) from tuner.checkpoint"


def _home(folder: Path) -> dict[str, str]:
    return {"TUNER_HOME": str(folder / "home")}


def test_a_spool_that_disappears_is_made_again(fleet: Fleet, tmp_path: Path) -> None:
    cells = Cells(tmp_path, n_x=1, n_y=1, epochs=60, seconds=0.1)
    agent = fleet.start(cells.path, is_light=True, environment=_home(tmp_path))
    fleet.wait_for(lambda: fleet.query(SAVED) != [(None,)], "a checkpoint")
    shutil.rmtree(tmp_path / "home")
    fleet.wait_for(lambda: "made again" in agent.output, "the folder")
    (spool,) = (tmp_path / "home" / "spool").iterdir()
    assert spool.stat().st_mode & 0o777 == 0o700
    fleet.wait_for(lambda: (spool / "workers.json").exists(), "the record of the workers")
    ((before,),) = fleet.query(SAVED)
    fleet.wait_for(lambda: fleet.query(SAVED)[0][0] > before, "another checkpoint")
    assert agent.wait() == 0, agent.output
    cells.check(fleet)
    assert list((tmp_path / "home" / "spool").iterdir()) == []


@pytest.mark.long
def test_prepared_data_that_disappear_are_prepared_again(fleet: Fleet, tmp_path: Path) -> None:
    study = write_study(tmp_path, epochs=1200, width=16, trials=1)
    agent = fleet.start(study, environment=_home(tmp_path))
    fleet.wait_for(lambda: fleet.n_reports() >= 1, "a report")
    data = tmp_path / "home" / "data"
    (meta,) = data.glob("*/meta.json")
    content = meta.read_text()
    shutil.rmtree(data)
    fleet.wait_for(lambda: "made again" in agent.output, "the data")
    assert meta.read_text() == content
    (worker,) = agent.workers()
    os.kill(worker, 9)  # its heir reads the data
    fleet.wait_for(lambda: "killed from outside" in agent.output, "the end of the worker")
    fleet.wait_for(lambda: fleet.query("select 1 from tuner.lease where attempt = 2"), "attempt 2")
    agent.process.terminate()
    assert agent.wait() == 143, agent.output


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system")
def test_a_disk_that_disappears_ends_the_agent(fleet: Fleet, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0711", "tmpfs", str(home)], check=True)
    is_mounted = True
    try:
        cells = Cells(tmp_path, n_x=1, n_y=1, epochs=600, seconds=0.1)
        agent = fleet.start(cells.path, is_light=True, environment=_home(tmp_path))
        fleet.wait_for(lambda: fleet.query(SAVED) != [(None,)], "a checkpoint")
        subprocess.run(["umount", "-l", str(home)], check=True)
        is_mounted = False
        assert agent.wait() == 7, agent.output
    finally:
        if is_mounted:
            subprocess.run(["umount", "-l", str(home)], check=True)
    assert "is gone together with the disk that it was on" in agent.output
    assert "Traceback" not in agent.output
    assert list(home.iterdir()) == []  # nothing was made on the disk below
    assert fleet.query("select state, failures, losses from tuner.lease") == [("free", 0, 0)]
