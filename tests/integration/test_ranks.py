"""A function in two ranks, as its worker runs it: real torchrun, gloo, and a real store."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.worker_processes import WorkerProcess, setup_of_function, start_of_trial
from tuner.messages import Continue, FromWorker, Left, Reported, Saved, Stop
from tuner.study.verdict import Outcome, Verdict

# Each rank adds its share; what it has seen goes to a file of its own.
TRAIN = """\
import os, time
import torch
import torch.distributed as dist

def train(trial):
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    print("rank", rank, "of", dist.get_world_size(), flush=True)
    seen = open(os.path.join(os.path.dirname(__file__), f"seen-{rank}"), "a", buffering=1)
    state = trial.checkpoint.load()
    first = 1 if state is None else state["step"] + 1
    seen.write(f"{trial.device} from {first}\\n")
    try:
        for step in range(first, 7):
            total = torch.tensor(float(rank + 1))
            dist.all_reduce(total)
            EXTRA
            trial.report(step=step, val_loss=total.item() / step)
            seen.write(f"{step}\\n")
            trial.checkpoint.save({"step": step})
    except BaseException as error:
        seen.write(type(error).__name__ + "\\n")
        raise
    finally:
        dist.destroy_process_group()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The study file's folder."""
    (tmp_path / "spool").mkdir(mode=0o700)
    folder = tmp_path / "study"
    folder.mkdir()
    return folder


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[WorkerProcess]:
    worker = WorkerProcess(tmp_path / "worker.log", "function")
    yield worker
    worker.close()


def _begin(worker: WorkerProcess, folder: Path, extra: str = "", **start: Any) -> None:
    (folder / "train.py").write_text(TRAIN.replace("EXTRA", extra))
    setup = setup_of_function(folder, fixed={}, save_every_seconds=1e9, n_ranks=2)
    worker.say(setup, start_of_trial(**{"params": {}, "seed": 7, **start}))


def _seen(folder: Path) -> list[list[str]]:
    return [(folder / f"seen-{rank}").read_text().split("\n")[:-1] for rank in range(2)]


def _values(messages: list[FromWorker]) -> dict[int, float]:
    return {m.step: m.values["val_loss"] for m in messages if isinstance(m, Reported)}


def test_two_ranks_train_and_the_first_one_reports(worker: WorkerProcess, folder: Path) -> None:
    _begin(worker, folder)
    messages = worker.all_until_left()
    left = messages[-1]
    assert isinstance(left, Left)
    assert (left.how, left.value) == (Outcome.COMPLETE, 0.5), worker.log.read_text()
    assert [m.step for m in messages if isinstance(m, Reported)] == [1, 2, 3, 4, 5, 6]
    assert _values(messages)[1] == 3.0, "both shares, once"
    steps = [str(step) for step in range(1, 7)]
    assert _seen(folder) == [["cpu from 1", *steps]] * 2
    assert "rank 0 of 2" in worker.log.read_text()
    assert worker.wait() == 0


def test_a_verdict_ends_both_ranks_at_the_same_step(worker: WorkerProcess, folder: Path) -> None:
    _begin(worker, folder, decide_at=((1, 10, 1),))
    for step in (1, 2):
        worker.hear(Reported, step=step)
        worker.say(Continue(number=4, attempt=1, step=step))
    worker.hear(Reported, step=3)
    worker.say(Stop(number=4, attempt=1, verdict=Verdict.PRUNE))
    assert worker.hear(Left).how is Outcome.PRUNED
    assert _seen(folder) == [["cpu from 1", "1", "2", "TrialPruned"]] * 2


def test_a_release_saves_on_the_first_rank_and_the_trial_continues(
    worker: WorkerProcess, folder: Path, tmp_path: Path
) -> None:
    _begin(worker, folder, extra="time.sleep(0.3)")
    worker.hear(Reported, step=2)
    worker.terminate()
    saved = worker.hear(Saved)
    assert worker.hear(Left).how is Outcome.RELEASED
    first, second = _seen(folder)
    assert first == second
    assert first[-1] == "TrialReleased"
    another = WorkerProcess(tmp_path / "another.log", "function")
    try:
        _begin(another, folder, checkpoint=saved.path, from_step=saved.step)
        messages = another.all_until_left()
    finally:
        another.close()
    assert sorted(_values(messages)) == list(range(saved.step + 1, 7))
    assert _seen(folder)[1].count(f"cpu from {saved.step + 1}") == 1


def test_a_rank_that_raises_ends_the_attempt_and_is_named(
    worker: WorkerProcess, folder: Path
) -> None:
    _begin(worker, folder, extra='if rank == 1 and step == 2: raise ValueError("no more")')
    left = worker.hear(Left)
    assert left.how is Outcome.EXCEPTION
    assert left.message.startswith("rank 1: ValueError: no more (train.py:")
    assert "no more" in worker.log.read_text()


def test_a_rank_that_is_killed_ends_the_attempt_and_is_named(
    worker: WorkerProcess, folder: Path
) -> None:
    kill = "if rank == 1 and step == 2: os.kill(os.getpid(), 9)"
    _begin(worker, folder, extra=kill)
    left = worker.hear(Left)
    assert left.how is Outcome.KILLED
    assert left.message.startswith("rank 1: the program was ended by SIGKILL"), left.message


def test_an_error_of_all_ranks_names_none(worker: WorkerProcess, folder: Path) -> None:
    _begin(worker, folder, extra="trial.report(step=step)")
    left = worker.hear(Left)
    assert left.how is Outcome.MISTAKE
    assert not left.message.startswith("rank")


def test_a_signal_to_the_whole_job_is_the_agents_to_judge(
    worker: WorkerProcess, folder: Path
) -> None:
    _begin(worker, folder, extra="os.kill(os.getpid(), 15)")
    assert worker.hear(Left).how is Outcome.COMPLETE
    assert signal.SIGTERM == 15
    assert not [name for name in os.listdir(folder) if name.startswith("failure")]


COMMAND = """\
import os, sys
import torch
import torch.distributed as dist

dist.init_process_group("gloo")
rank = dist.get_rank()
for step in range(1, 4):
    total = torch.tensor(float(rank + 1))
    dist.all_reduce(total)
    if step == 2 and rank == int(sys.argv[1]):
        print("this rank gives up", file=sys.stderr, flush=True)
        os._exit(1)  # the threads of gloo may abort an ordinary end
    print(f"step {step} val_loss {total.item() / step} by {rank} on {os.environ['TUNER_DEVICE']}")
dist.destroy_process_group()
"""


@pytest.mark.parametrize("at_fault", [-1, 1])
def test_a_command_in_two_ranks_reports_once_and_the_rank_at_fault_is_named(
    folder: Path, tmp_path: Path, at_fault: int
) -> None:
    (folder / "train.py").write_text(COMMAND)
    worker = WorkerProcess(tmp_path / "worker.log", "command")
    setup = setup_of_function(
        folder,
        objective={
            "command": ["{python}", "-u", "train.py", "{at_fault}"],
            "report": {"pattern": r"step (?P<step>\d+) val_loss (?P<val_loss>\S+)"},
        },
        fixed={},
        save_every_seconds=1e9,
        n_ranks=2,
    )
    start = start_of_trial(params={"at_fault": at_fault}, seed=7)
    try:
        worker.say(setup, start)
        messages = worker.all_until_left()
    finally:
        worker.close()
    left = messages[-1]
    assert isinstance(left, Left)
    if at_fault < 0:
        assert (left.how, left.value) == (Outcome.COMPLETE, 1.0), worker.log.read_text()
        assert _values(messages) == {1: 3.0, 2: 1.5, 3: 1.0}
    else:
        assert left.how is Outcome.EXITED
        said = "rank 1: the program ended with exit code 1: this rank gives up"
        assert left.message == said
        assert "--- stderr of rank 1\nthis rank gives up" in worker.log.read_text()
