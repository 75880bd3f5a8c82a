"""The worker as a real process, driven over its pipes as an agent does."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.data_requests import data_request
from tests.integration.worker_processes import PATIENCE_SECONDS, WorkerProcess
from tuner.messages import Continue, Left, Ready, Reported, Saved, Setup, Start, Stop, encode
from tuner.study.goal import Goal
from tuner.study.trial import Direction
from tuner.study.verdict import Outcome, Verdict
from tuner.training.data.preparing import prepare


def rungs(*steps: int) -> tuple[tuple[int, int, int], ...]:
    """Single steps as a schedule."""
    return tuple((step, step + 1, 1) for step in steps)


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory):
    return prepare(data_request({"sklearn": "digits"}), tmp_path_factory.mktemp("prepared")).folder


@pytest.fixture
def open_worker(tmp_path):
    workers = []

    def open_one() -> WorkerProcess:
        workers.append(WorkerProcess(tmp_path / f"worker-{len(workers)}.log"))
        return workers[-1]

    yield open_one
    for worker in workers:
        worker.close()


@pytest.fixture
def setup(tmp_path, data_folder):
    spool = tmp_path / "spool"
    spool.mkdir(mode=0o700)
    return Setup(
        device="cpu",
        n_threads=1,
        objective={"data": {"sklearn": "digits"}, "model": "mlp"},
        fixed={"epochs": 6},
        data_folder=str(data_folder),
        data_seed=3,
        goal=Goal(metric="val_loss", direction=Direction.MINIMIZE),
        spool=str(spool),
        save_every_seconds=30.0,
    )


def _start(number: int = 0, attempt: int = 1, **changes) -> Start:
    params = {"learning_rate": 0.002, "dropout": 0.2, **changes.pop("params", {})}
    fields = {"seed": 77, "checkpoint": None, "decide_at": (), **changes}
    return Start(number=number, attempt=attempt, params=params, **fields)


def _curve(messages) -> dict[int, dict[str, float]]:
    return {
        message.step: {n: v for n, v in message.values.items() if n != "seconds"}
        for message in messages
        if isinstance(message, Reported)
    }


def test_trials_run_one_after_another_to_completion(open_worker, setup):
    worker = open_worker()
    worker.say(replace(setup, n_lanes=1))
    for number in (0, 1):
        assert worker.hear(Ready, n_free=1) == Ready(n_free=1, n_taken=number)
        worker.say(_start(number))
        messages = worker.all_until_left()
        curve, left = _curve(messages), messages[-1]
        assert sorted(curve) == [1, 2, 3, 4, 5, 6]
        best = min(curve, key=lambda step: curve[step]["val_loss"])
        assert (left.how, left.number, left.value) == (
            Outcome.COMPLETE,
            number,
            curve[best]["val_loss"],
        )
        assert left.facts == {
            "best_step": best,
            "train_loss": curve[best]["train_loss"],
            "val_accuracy": curve[best]["val_accuracy"],
        }
        assert left.value < 0.3


def test_a_stop_prunes_at_the_step_of_the_decision(open_worker, setup):
    worker = open_worker()
    worker.say(setup, _start(decide_at=rungs(1, 3)))
    worker.hear(Reported, step=1)
    worker.say(Continue(number=0, attempt=1, step=1))
    worker.hear(Reported, step=3)
    worker.say(Stop(number=0, attempt=9, verdict=Verdict.DROP))  # of another attempt: not for us
    worker.say(Stop(number=0, attempt=1, verdict=Verdict.PRUNE))
    messages = worker.all_until_left()
    assert _curve(messages) == {}
    assert (messages[-1].how, messages[-1].value) == (Outcome.PRUNED, None)
    assert "val_accuracy" in messages[-1].facts
    worker.hear(Ready)


def test_trials_claimed_together_train_together_with_their_own_ids(open_worker, setup):
    worker = open_worker()
    worker.say(replace(setup, n_lanes=8))
    assert worker.hear(Ready) == Ready(n_free=8, n_taken=0)
    starts = [_start(n, params={"n_layers": 1 + n % 2, "dropout": 0.0}) for n in range(3)]
    worker.say(
        *starts, _start(3, decide_at=rungs(1)), Stop(number=3, attempt=1, verdict=Verdict.DROP)
    )
    messages = []
    while sum(isinstance(message, Left) for message in messages) < 4:
        messages += worker.all_until_left()
    hows = {m.number: m.how for m in messages if isinstance(m, Left)}
    assert hows == {
        0: Outcome.COMPLETE,
        1: Outcome.COMPLETE,
        2: Outcome.COMPLETE,
        3: Outcome.DROPPED,
    }
    ready = [m for m in messages if isinstance(m, Ready)]
    assert Ready(n_free=4, n_taken=4) in ready or Ready(n_free=5, n_taken=4) in ready
    alone = open_worker()
    alone.say(replace(setup, n_lanes=1), starts[1])
    wanted = _curve(alone.all_until_left())
    assert _curve([m for m in messages if isinstance(m, Reported) and m.number == 1]) == wanted


def test_release_and_resume_elsewhere_give_the_same_bits(open_worker, setup):
    whole = open_worker()
    whole.say(setup, _start())
    wanted = whole.all_until_left()

    first = open_worker()
    first.say(setup, _start(decide_at=rungs(2)))
    first.hear(Reported, step=2)
    first.say(Stop(number=0, attempt=1, verdict=Verdict.RELEASE))
    saved = first.hear(Saved)
    assert saved.step == 2
    assert Path(saved.path).name == "0-1-2.safetensors"
    assert first.hear(Left).how is Outcome.RELEASED

    second = open_worker()
    second.say(setup, _start(attempt=2, checkpoint=saved.path))
    resumed = second.all_until_left()
    assert _curve(resumed) == {s: v for s, v in _curve(wanted).items() if s > 2}
    assert resumed[-1].value == wanted[-1].value
    assert resumed[-1].facts == wanted[-1].facts


def test_sigterm_releases_then_leaves(open_worker, setup):
    worker = open_worker()
    worker.say(setup, _start(params={"epochs": 100_000}))
    worker.hear(Reported, step=1)
    worker.process.send_signal(signal.SIGINT)  # is the agent's business
    worker.hear(Reported)
    worker.terminate()
    saved = worker.hear(Saved)
    assert Path(saved.path).exists()
    assert worker.hear(Left).how is Outcome.RELEASED
    assert worker.wait() == 0


def test_sigterm_ends_an_idle_worker(open_worker, setup):
    worker = open_worker()
    worker.say(setup)
    worker.hear(Ready)
    worker.terminate()
    assert worker.wait() == 0


def test_an_agent_that_does_not_answer_costs_one_second_once(open_worker, setup):
    worker = open_worker()
    worker.say(setup)
    worker.hear(Ready)
    started = time.monotonic()
    worker.say(_start(decide_at=rungs(1, 2, 3, 4, 5, 6)))
    assert worker.hear(Left).how is Outcome.COMPLETE
    assert 1.0 <= time.monotonic() - started < 4, "six rungs would take six seconds"


def test_the_end_of_the_pipe_ends_the_worker_in_the_middle_of_an_epoch(open_worker, setup):
    worker = open_worker()
    worker.say(setup, _start(params={"epochs": 100_000, "width": 2048, "n_layers": 6}))
    time.sleep(0.3)
    worker.hang_up()
    assert worker.wait() == 0


def test_a_killed_agent_leaves_nothing_even_if_the_pipe_stays_open(tmp_path, setup):
    read_fd, to_worker = os.pipe()  # the ends that we keep outlive the agent
    from_worker, write_fd = os.pipe()
    agent = (
        "import sys, time\n"
        "from tuner.agent.workers.template import Template\n"
        "template = Template('trainer', n_threads=1)\n"
        "worker = template.fork((int(sys.argv[1]), int(sys.argv[2]), 2))\n"
        "print(worker.pid, flush=True)\n"
        "time.sleep(100)\n"
    )
    descriptors = [str(read_fd), str(write_fd)]
    with (tmp_path / "log").open("wb") as log:
        parent = subprocess.Popen(
            [sys.executable, "-c", agent, *descriptors],
            pass_fds=(read_fd, write_fd),
            stdout=subprocess.PIPE,
            stderr=log,
        )
    pid = int(parent.stdout.readline())
    os.write(to_worker, encode(setup) + encode(_start(decide_at=rungs(1))))
    assert b"Ready" in os.read(from_worker, 1000)  # it trains, or will in a moment
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 10
    while _is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    was_alive = _is_alive(pid)
    if was_alive:
        os.kill(pid, signal.SIGKILL)
    for descriptor in (read_fd, to_worker, from_worker, write_fd):
        os.close(descriptor)
    assert not was_alive


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_garbage_on_the_pipe_is_ignored(open_worker, setup):
    worker = open_worker()
    worker.say_bytes(b"\n{}\nnonsense\n" + os.urandom(3000).replace(b"\n", b"") + b"\n")
    worker.say(Continue(number=0, attempt=1, step=1), setup)
    worker.say_bytes(b"x" * 3_000_000 + b"\n" + encode(setup) + b'{"type":"Start"}\n')
    worker.say(_start())
    assert worker.hear(Left).how is Outcome.COMPLETE
    assert "not a message" in worker.log.read_text()


def test_a_diverged_trial_leaves_the_worker_usable(open_worker, setup):
    worker = open_worker()
    worker.say(setup, _start(params={"learning_rate": 1e30}))
    messages = worker.all_until_left()
    left = messages[-1]
    assert (left.how, left.value) == (Outcome.NON_FINITE, None)
    assert "at step" in left.message
    assert all(value == value and abs(value) < 1e300 for value in left.facts.values())
    assert any(isinstance(message, Reported) for message in messages)
    worker.say(_start(1))
    assert worker.hear(Left, number=1).how is Outcome.COMPLETE


def test_a_damaged_checkpoint_is_an_exception_and_ends_the_process(open_worker, setup, tmp_path):
    path = tmp_path / "spool" / "0-1-3.safetensors"
    path.write_bytes(b"\x00" * 100)
    worker = open_worker()
    worker.say(setup, _start(checkpoint=str(path)))
    left = worker.hear(Left)
    assert left.how is Outcome.EXCEPTION
    assert left.message.startswith("BadCheckpoint: checkpoint 0-1-3.safetensors cannot be read")
    assert "Traceback" in left.traceback
    assert worker.wait() == 1


def test_when_one_lane_fails_the_others_are_saved_and_released(open_worker, setup, tmp_path):
    worker = open_worker()
    worker.say(replace(setup, n_lanes=8, fixed={"epochs": 100_000}))
    worker.say(*(_start(n) for n in range(3)))
    for n in range(3):
        worker.hear(Reported, number=n)
    torn = tmp_path / "torn.safetensors"
    torn.write_bytes(b"no checkpoint")
    worker.say(_start(7, checkpoint=str(torn)))
    messages = []
    while sum(isinstance(message, Left) for message in messages) < 4:
        messages += worker.all_until_left()
    hows = {m.number: m.how for m in messages if isinstance(m, Left)}
    assert hows == {7: Outcome.EXCEPTION, **dict.fromkeys(range(3), Outcome.RELEASED)}
    saved = {m.number: m.step for m in messages if isinstance(m, Saved)}
    reported = {m.number: m.step for m in messages if isinstance(m, Reported)}
    assert saved == {n: reported.get(n, saved[n]) for n in range(3)}, "each at its last step"
    assert worker.wait() == 1


def test_too_large_a_model_is_out_of_memory(open_worker, setup):
    worker = open_worker()
    worker.say(setup, _start(params={"width": 60_000_000}))
    left = worker.hear(Left)
    assert left.how is Outcome.OUT_OF_MEMORY, left
    assert worker.wait() == 1


def test_preparation_says_what_is_wrong_in_one_sentence(tmp_path):
    data = data_request({"sklearn": "digits"})
    data["source"]["sklearn"] = "digitz"
    request = {"data": data, "own": None, "data_folder": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "tuner.worker", "prepare", "--kind", "trainer"],
        input=json.dumps(request) + "\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    error = json.loads(done.stdout)["error"]
    assert error.startswith("cannot prepare the data: no data set 'digitz'; sklearn has: digits, ")


def test_whatever_the_users_code_raises_is_one_sentence_and_its_threads_hold_nothing(tmp_path):
    (tmp_path / "net.py").write_text(
        "import threading, time\n"
        "import numpy as np\n"
        "threading.Thread(target=time.sleep, args=(600,)).start()\n"
        "def net(n_features, n_outputs, width=np.array([64, 64])): ...\n"
    )
    own = {
        "folder": str(tmp_path),
        "model": "net.py:net",
        "loss": None,
        "params": {},
        "searched": [],
    }
    request = {"data": {"sklearn": "iris"}, "own": own, "data_folder": str(tmp_path / "data")}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "tuner.worker", "prepare", "--kind", "trainer"],
        input=json.dumps(request) + "\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"].startswith("ValueError: ")
