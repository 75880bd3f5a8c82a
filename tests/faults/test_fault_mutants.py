"""The tests are tested: agents with broken code make the named check fail.

`nofence`, `nobeatcheck`, `noadopt` and `dropreports` are hunted by `test_state_machine.py`,
`nokeyshare` and `noskiplocked` (among others) by `test_mutants.py`, on broken SQL. Here are those
that need a process, or that are not SQL; `dropreports` of the agent is in `test_away.py`.
"""

import os
import signal
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import patched
import pytest
from agents import Fleet, is_running
from cells import Cells

from tuner.agent.observing import Observer
from tuner.study.agents import AgentBeat
from tuner.training import checkpoint

HOLDS_THE_INTERPRETER = """\
import ctypes

def train(trial):
    trial.report(step=1, val_loss=1.0)
    ctypes.PyDLL(None).sleep(30)  # no other thread of this process runs meanwhile
"""


def every_report_is_sent_again_at_the_end(fleet: Fleet, folder: Path, *mutants: str) -> None:
    """What a failover has lost of a running trial is there once it has ended."""
    cells = Cells(folder, n_x=1, n_y=1, epochs=8, seconds=0.2)
    patches = [[mutant] for mutant in mutants]
    agent = fleet.start(cells.path, is_light=True, patches=patches)
    fleet.wait_for(lambda: fleet.n_reports() >= 4, "four reports")
    fleet.execute("delete from trial_intermediate_values where step <= 3")
    assert agent.wait() == 0, agent.output
    cells.check(fleet)


def a_worker_dies_with_its_agent_whatever_it_does(
    fleet: Fleet, folder: Path, *mutants: str
) -> None:
    """Also one that cannot notice the end of its pipe."""
    cells = Cells(folder, n_x=1, n_y=1)
    (folder / "train.py").write_text(HOLDS_THE_INTERPRETER)
    patches = [[mutant] for mutant in mutants]
    agent = fleet.start(cells.path, is_light=True, patches=patches)
    fleet.wait_for(lambda: fleet.n_reports() == 1, "a report")
    time.sleep(0.3)  # until it sleeps
    agent.send(signal.SIGKILL)
    agent.process.wait()
    time.sleep(1)
    left = fleet.processes()
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == [], "a worker outlived its agent"


def test_every_report_is_sent_again_at_the_end(fleet: Fleet, tmp_path: Path) -> None:
    every_report_is_sent_again_at_the_end(fleet, tmp_path)


def test_mutant_noresend_is_noticed(fleet: Fleet, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="trial 0"):
        every_report_is_sent_again_at_the_end(fleet, tmp_path, "noresend")


def test_a_worker_dies_with_its_agent_whatever_it_does(fleet: Fleet, tmp_path: Path) -> None:
    a_worker_dies_with_its_agent_whatever_it_does(fleet, tmp_path)


def test_mutant_nopdeathsig_is_noticed(fleet: Fleet, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="a worker outlived its agent"):
        a_worker_dies_with_its_agent_whatever_it_does(fleet, tmp_path, "nopdeathsig")


def nobody_is_silent_after_a_gap_in_ones_own_polls() -> None:
    """In a database outage nobody could beat."""
    observer = Observer(boot="here", lease_seconds=3.0, max_gap_seconds=1.5)
    other = AgentBeat(agent_id=uuid.uuid4(), beat=7, host="there", boot="there", pid=1)
    assert observer.note([other], 100.0) == []
    assert observer.note([other], 110.0) == []
    assert observer.note([other], 111.0) == []


def test_nobody_is_silent_after_a_gap_in_ones_own_polls() -> None:
    nobody_is_silent_after_a_gap_in_ones_own_polls()


def test_mutant_nogapreset_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Observer, "note", Observer.note)  # put back at the end
    patched.nogapreset()
    with pytest.raises(AssertionError):
        nobody_is_silent_after_a_gap_in_ones_own_polls()


def a_save_that_is_interrupted_leaves_the_file_before(
    folder: Path, interrupt: Callable[[], None]
) -> None:
    """Whatever the process was doing when it ended."""
    saved = checkpoint.save_checkpoint(folder, "0-1-1", {"step": 1})
    interrupt()
    with pytest.raises(InterruptedError):
        checkpoint.save_checkpoint(folder, "0-1-1", {"step": 2})
    assert checkpoint.load_checkpoint(saved.path) == {"step": 1}


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Half of the next file is written, and no more."""

    def half(handle: int, content: bytes) -> None:
        with os.fdopen(handle, "wb") as file:
            file.write(content[: len(content) // 2])
        raise InterruptedError

    return lambda: monkeypatch.setattr(checkpoint, "write_synced", half)


def test_a_save_that_is_interrupted_leaves_the_file_before(
    tmp_path: Path, interrupt: Callable[[], None]
) -> None:
    a_save_that_is_interrupted_leaves_the_file_before(tmp_path, interrupt)


def test_mutant_naivesave_is_noticed(
    tmp_path: Path, interrupt: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "save_checkpoint", checkpoint.save_checkpoint)
    patched.naivesave()
    with pytest.raises((AssertionError, checkpoint.BadCheckpoint)):
        a_save_that_is_interrupted_leaves_the_file_before(tmp_path, interrupt)


def test_is_running_tells_a_dead_process() -> None:
    """What the check of leaks rests on."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert not is_running(child)  # a zombie of the kernel's kind
    os.waitpid(child, 0)
    assert not is_running(child)
    assert is_running(os.getpid())
