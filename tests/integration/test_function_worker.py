"""The worker of a function objective as a real process, driven over its pipes as an agent does."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.worker_processes import (
    PATIENCE_SECONDS,
    WorkerProcess,
    setup_of_function,
    start_of_trial,
)
from tuner.messages import Continue, FromWorker, Left, Ready, Reported, Saved, Stop
from tuner.processes import children_of, exists
from tuner.study.verdict import Outcome, Verdict
from tuner.trial.ends import IGNORED, SWALLOWED

pytestmark = pytest.mark.usefixtures("light")

OpenWorker = Callable[[], WorkerProcess]
Run = Callable[..., tuple[list[FromWorker], WorkerProcess]]

DESCENT = """\
def train(trial):
    x, first = 10.0, 1
    state = trial.checkpoint.load()
    if state is not None:
        x, first = state["x"], state["step"] + 1
    for step in range(first, trial.params["epochs"] + 1):
        x -= trial.params["lr"] * x
        trial.report(step=step, val_loss=x * x)
        trial.checkpoint.save({"x": x, "step": step})
"""


@pytest.fixture
def open_worker(tmp_path: Path) -> Iterator[OpenWorker]:
    """Starts workers; they end with the test."""
    workers: list[WorkerProcess] = []

    def open_one() -> WorkerProcess:
        workers.append(WorkerProcess(tmp_path / f"worker-{len(workers)}.log", "function"))
        return workers[-1]

    yield open_one
    for worker in workers:
        worker.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The study file's folder."""
    (tmp_path / "spool").mkdir(mode=0o700)
    folder = tmp_path / "study"
    folder.mkdir()
    return folder


@pytest.fixture
def run(open_worker: OpenWorker, folder: Path) -> Run:
    """Trains one trial of some code to its end."""

    def train(
        code: str, *, function: str = "train.py:train", **start: Any
    ) -> tuple[list[FromWorker], WorkerProcess]:
        (folder / "train.py").write_text(code)
        worker = open_worker()
        worker.say(setup_of_function(folder, function), start_of_trial(**start))
        return worker.all_until_left(), worker

    return train


def _curve(messages: list[FromWorker]) -> dict[int, float]:
    return {m.step: m.values["val_loss"] for m in messages if isinstance(m, Reported)}


def _left(messages: list[FromWorker]) -> Left:
    assert isinstance(messages[-1], Left)
    return messages[-1]


def test_a_function_trains_to_its_end_and_its_process_leaves(run: Run) -> None:
    code = DESCENT + "    trial.set_user_attr('x', x)\n    return 0.125\n"
    messages, worker = run(code)
    left = _left(messages)
    assert sorted(_curve(messages)) == [1, 2, 3, 4, 5, 6]
    assert (left.number, left.attempt, left.how, left.value) == (4, 1, Outcome.COMPLETE, 0.125)
    assert left.facts == {"x": pytest.approx(10 * 0.75**6)}
    assert worker.wait() == 0


def test_without_a_return_the_last_report_is_its_value(run: Run) -> None:
    messages, _ = run(DESCENT)
    assert _left(messages).value == _curve(messages)[6]


def test_it_gets_the_trials_facts_and_seeded_generators(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPATH")  # with the real torch
    code = """\
import random
import numpy as np
import torch

def train(trial):
    for name in ("number", "seed", "device"):
        trial.set_user_attr(name, getattr(trial, name))
    trial.set_user_attr("dir", str(trial.dir))
    trial.set_user_attr("drawn", f"{random.random()} {np.random.rand()} {torch.rand(1).item()}")
    trial.set_user_attr("threads", torch.get_num_threads())
    trial.set_user_attr("params", str(sorted(trial.params.items())))
    return 1
"""
    first, again = _left(run(code)[0]), _left(run(code)[0])
    other = _left(run(code, seed=78)[0])
    assert first.facts["drawn"] == again.facts["drawn"] != other.facts["drawn"]
    assert (first.facts["number"], first.facts["seed"]) == (4, 77)
    assert (first.facts["device"], first.facts["threads"]) == ("cpu", 1)
    assert first.facts["params"] == "[('epochs', 6), ('lr', 0.25)]"
    own = Path(str(first.facts["dir"]))
    assert own == folder.parent / "trials" / "4"
    assert own.stat().st_mode & 0o777 == 0o700


def test_a_stop_prunes_at_the_step_of_the_decision(open_worker: OpenWorker, folder: Path) -> None:
    (folder / "train.py").write_text(DESCENT)
    worker = open_worker()
    worker.say(setup_of_function(folder), start_of_trial(decide_at=((1, 2, 1), (3, 4, 1))))
    worker.hear(Reported, step=1)
    worker.say(Continue(number=4, attempt=1, step=1))
    worker.hear(Reported, step=3)
    worker.say(Stop(number=4, attempt=1, verdict=Verdict.PRUNE))
    messages = worker.all_until_left()
    assert _curve(messages) == {}
    assert _left(messages).how is Outcome.PRUNED
    assert worker.wait() == 0


def test_a_released_trial_goes_on_from_its_checkpoint_to_the_same_end(
    run: Run, open_worker: OpenWorker, folder: Path
) -> None:
    wanted, _ = run(DESCENT)
    first = open_worker()
    first.say(setup_of_function(folder), start_of_trial(decide_at=((2, 3, 1),)))
    first.hear(Reported, step=2)
    first.say(Stop(number=4, attempt=1, verdict=Verdict.RELEASE))
    saved = first.hear(Saved)
    assert (saved.step, Path(saved.path).name) == (2, "4-1-2-1.safetensors")
    assert first.hear(Left).how is Outcome.RELEASED
    resumed, _ = run(DESCENT, attempt=2, checkpoint=saved.path)
    assert _curve(resumed) == {s: v for s, v in _curve(wanted).items() if s > 2}
    assert _left(resumed).value == _left(wanted).value


def test_sigterm_saves_releases_and_leaves(open_worker: OpenWorker, folder: Path) -> None:
    (folder / "train.py").write_text(DESCENT)
    worker = open_worker()
    worker.say(setup_of_function(folder, fixed={"epochs": 100_000_000}), start_of_trial())
    worker.hear(Reported, step=1)
    worker.process.send_signal(signal.SIGTERM)
    saved = worker.hear(Saved)
    assert worker.hear(Left).how is Outcome.RELEASED
    assert Path(saved.path).is_file()
    assert worker.wait() == 0


def test_an_exception_shows_the_last_frame_of_the_users_code(run: Run) -> None:
    code = """\
import json

def load(text):
    return json.loads(text)  # raises inside a library

def train(trial):
    trial.set_user_attr("seen", 1)
    trial.report(val_loss=1.0)
    load("{")
"""
    messages, worker = run(code)
    left = _left(messages)
    assert left.how is Outcome.EXCEPTION
    assert left.message.startswith("JSONDecodeError: Expecting property name")
    assert left.message.endswith("(train.py:4 in load)")
    assert "Traceback" in left.traceback
    assert left.facts == {"seen": 1}
    worker.wait()
    assert "JSONDecodeError" in worker.log.read_text()


@pytest.mark.parametrize(
    ("body", "how", "message"),
    [
        (
            "    import sys\n    sys.exit(3)\n",
            Outcome.EXCEPTION,
            "the objective called sys.exit(3) (train.py:3 in train)",
        ),
        (
            "    pass\n",
            Outcome.MISTAKE,
            "it returned None and reported nothing; return val_loss as a float, or call "
            "trial.report(val_loss=...) (train.py:1 in train)",
        ),
        (
            "    trial.report(loss=1.0)\n",
            Outcome.MISTAKE,
            "the report has loss, and not the study's metric; call "
            "trial.report(val_loss=...) (train.py:2 in train)",
        ),
        (
            "    trial.report(step=2, val_loss=1.0)\n    trial.report(step=2, val_loss=1.0)\n",
            Outcome.MISTAKE,
            "step 2 was reported after step 2; steps must grow (train.py:3 in train)",
        ),
        ("    raise MemoryError\n", Outcome.OUT_OF_MEMORY, "MemoryError (train.py:2 in train)"),
        ("    trial.report(val_loss=float('nan'))\n", Outcome.DROPPED, ""),
        (
            "    from tuner.trial import TrialPruned\n    raise TrialPruned\n",
            Outcome.PRUNED,
            "",
        ),
    ],
)
def test_every_other_end_says_what_happened_and_where(
    run: Run, body: str, how: Outcome, message: str
) -> None:
    left = _left(run("def train(trial):\n" + body)[0])
    assert (left.how, left.message) == (how, message)


def test_a_tensor_is_no_value(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONPATH")  # with the real torch
    left = _left(run("def train(trial):\n    import torch\n    return torch.tensor(1.0)\n")[0])
    assert left.how is Outcome.MISTAKE
    assert left.message == (
        "it returned a Tensor; return it as a float, with .item() (train.py:1 in train)"
    )


def test_an_end_that_was_caught_stays_the_end(open_worker: OpenWorker, folder: Path) -> None:
    code = """\
def train(trial):
    try:
        trial.report(val_loss=1.0)
    except BaseException:
        pass
    return 0.5
"""
    (folder / "train.py").write_text(code)
    worker = open_worker()
    worker.say(setup_of_function(folder), start_of_trial(decide_at=((1, 2, 1),)))
    worker.hear(Reported)
    worker.say(Stop(number=4, attempt=1, verdict=Verdict.PRUNE))
    assert worker.hear(Left).how is Outcome.PRUNED


def test_a_pruned_trial_that_breaks_while_it_cleans_up_is_pruned(
    open_worker: OpenWorker, folder: Path
) -> None:
    code = """\
def train(trial):
    try:
        trial.report(val_loss=1.0)
    finally:
        raise RuntimeError("no connection to the tracker")
"""
    (folder / "train.py").write_text(code)
    worker = open_worker()
    worker.say(setup_of_function(folder), start_of_trial(decide_at=((1, 2, 1),)))
    worker.hear(Reported)
    worker.say(Stop(number=4, attempt=1, verdict=Verdict.PRUNE))
    assert worker.hear(Left).how is Outcome.PRUNED
    worker.wait()
    assert "no connection to the tracker" in worker.log.read_text()


def test_a_thread_that_is_left_behind_does_not_hold_the_device(run: Run) -> None:
    code = """\
import threading, time

def train(trial):
    threading.Thread(target=time.sleep, args=(1000,)).start()
    return 0.5
"""
    messages, worker = run(code)
    assert _left(messages).how is Outcome.COMPLETE
    worker.wait()


def test_files_are_flushed_and_exit_functions_run_as_in_any_program(run: Run, folder: Path) -> None:
    code = f"""\
import atexit, gzip, os, sys, threading, time, weakref

class Thing:
    pass

thing, cycle = Thing(), []
cycle += [cycle, open("cycle.bin", "wb")]
os.chdir({str(folder)!r})
log, raw = open("log.txt", "a"), open("raw.bin", "wb")
packed = gzip.open("packed.gz", "wt")
closed = open("closed.txt", "w")
weakref.finalize(thing, lambda: open("finalized.txt", "w").write("yes"))
atexit.register(lambda: log.write(", left"))
atexit.register(sys.exit, 9)
atexit.register(lambda: 1 / 0)

def finish():
    time.sleep(0.3)
    raw.write(b"from a thread")

def train(trial):
    threading.Thread(target=finish).start()
    log.write("trained")
    packed.write("small")
    closed.close()
    sys.stdout = None
    return 0.5
"""
    messages, worker = run(code.replace('"cycle.bin"', repr(str(folder / "cycle.bin"))))
    assert _left(messages).how is Outcome.COMPLETE
    assert worker.wait() == 0
    assert (folder / "log.txt").read_text() == "trained, left"
    assert (folder / "raw.bin").read_bytes() == b"from a thread"
    assert gzip.decompress((folder / "packed.gz").read_bytes()) == b"small"
    assert (folder / "finalized.txt").read_text() == "yes"
    assert "ZeroDivisionError" in worker.log.read_text()


def test_numpy_has_the_threads_of_the_device(open_worker: OpenWorker, folder: Path) -> None:
    """The template has one, which is all that its fork would have."""
    code = """\
import os
import numpy
from threadpoolctl import threadpool_info

def train(trial):
    found = [each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"]
    trial.set_user_attr("threads", found)
    trial.set_user_attr("variable", os.getenv("OPENBLAS_NUM_THREADS"))
    return 0.5
"""
    (folder / "train.py").write_text(code)
    found = []
    for n_threads in (1, 3):
        worker = open_worker()
        worker.say(setup_of_function(folder, n_threads=n_threads), start_of_trial())
        facts = _left(worker.all_until_left()).facts
        assert facts["variable"] == os.environ.get("OPENBLAS_NUM_THREADS")
        found.append(facts["threads"])
    assert found in ([[1], [3]], [[], []])  # NumPy may be built without


def test_what_a_killed_reaper_leaves_behind_is_ended_by_the_template(
    open_worker: OpenWorker, folder: Path
) -> None:
    code = """\
import subprocess, time

def train(trial):
    child = subprocess.Popen(["sleep", "600"], start_new_session=True)
    trial.report(step=child.pid, val_loss=1.0)
    time.sleep(600)
"""
    (folder / "train.py").write_text(code)
    worker = open_worker()
    worker.say(setup_of_function(folder), start_of_trial())
    child = worker.hear(Reported).step
    below = [child, *children_of(worker.process.pid)]
    os.kill(worker.process.pid, signal.SIGKILL)
    assert worker.wait() == -signal.SIGKILL
    deadline = time.monotonic() + PATIENCE_SECONDS
    while any(map(exists, below)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(map(exists, below))


def test_what_it_prints_reaches_the_log_line_by_line(open_worker: OpenWorker, folder: Path) -> None:
    (folder / "train.py").write_text(
        "def train(trial):\n    print('epoch 1')\n    trial.report(val_loss=1.0)\n"
    )
    worker = open_worker()
    worker.say(setup_of_function(folder), start_of_trial(decide_at=((1, 2, 1),)))
    worker.hear(Reported)
    assert worker.log.read_text() == "epoch 1\n", "while the trial still trains"


def test_a_module_is_found_in_the_study_files_folder(run: Run, folder: Path) -> None:
    package = folder / "lab" / "vision"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "nets.py").write_text(
        "from lab import sizes\n\ndef fit(trial):\n    return sizes.N\n"
    )
    (folder / "lab" / "sizes.py").write_text("N = 7\n")
    messages, _ = run("", function="lab.vision.nets:fit")
    assert _left(messages).value == 7.0


def test_a_file_finds_its_neighbours_as_a_script_does(run: Run, folder: Path) -> None:
    (folder / "code").mkdir()
    (folder / "code" / "shapes.py").write_text("N = 5\n")
    (folder / "code" / "fit.py").write_text(
        "import shapes\n\ndef go(trial):\n    return shapes.N\n"
    )
    messages, _ = run("", function="code/fit.py:go")
    assert _left(messages).value == 5.0


def test_a_worker_takes_no_second_trial(run: Run) -> None:
    messages, worker = run(DESCENT)
    assert [type(m) for m in messages].count(Ready) == 1
    worker.wait()
    assert worker.heard.empty()


def _inspect(folder: Path, function: str) -> tuple[int, dict[str, str], str]:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "tuner.worker", "prepare", "--kind", "function"],
        input=json.dumps({"function": function, "folder": str(folder)}) + "\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )
    return done.returncode, json.loads(done.stdout), done.stderr


def test_inspecting_a_sound_function_names_it(folder: Path) -> None:
    (folder / "train.py").write_text("print('loaded')\n" + DESCENT)
    code, answer, printed = _inspect(folder, "train.py:train")
    assert (code, answer["summary"]) == (0, "function train.py:train")
    assert "loaded" in printed, "and not in the answer"


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (
            "def train(trial:\n    pass\n",
            "importing train.py failed: SyntaxError: '(' was never closed (train.py:1)",
        ),
        (
            "import nothing_such\n",
            "importing train.py failed: ModuleNotFoundError: No module named 'nothing_such' "
            "(train.py:1 in <module>)",
        ),
        (
            "import sys\nsys.exit('no data')\n",
            "importing train.py failed: SystemExit: no data (train.py:2 in <module>)",
        ),
        (
            "def fit(trial): ...\ndef score(trial): ...\n",
            "train.py has no function train; functions there: fit, score",
        ),
        ("train = 3\n", "train.py has no function train; functions there: none"),
        (
            "def train(): ...\n",
            "train() must take one argument: def train(trial)",
        ),
        (
            "def train(trial, data): ...\n",
            "train(trial, data) must take one argument: def train(trial)",
        ),
    ],
)
def test_inspecting_says_in_one_sentence_why_no_trial_could_run(
    folder: Path, code: str, error: str
) -> None:
    (folder / "train.py").write_text(code)
    exit_code, answer, _ = _inspect(folder, "train.py:train")
    assert exit_code == 1
    assert answer["error"] == error


def test_inspecting_a_file_that_is_not_there_names_it(folder: Path) -> None:
    _, answer, _ = _inspect(folder, "missing.py:train")
    assert answer["error"] == f"there is no file {folder / 'missing.py'}"


def test_a_file_that_breaks_after_the_inspection_fails_its_trial_as_a_mistake(run: Run) -> None:
    left = _left(run("def train(trial:\n")[0])
    assert left.how is Outcome.MISTAKE
    assert left.message.startswith("importing train.py failed: SyntaxError")


SURROUNDINGS = """\
import argparse, os, sys
argparse.ArgumentParser().parse_args()
seen = list(sys.argv), sys.path[0]

def train(trial):
    argparse.ArgumentParser().parse_args()
    trial.set_user_attr("seen", str((*seen, sys.argv)))
    trial.set_user_attr("variables", " ".join(sorted(os.environ)))
    return 1
"""


@pytest.mark.parametrize(
    ("file", "function"),
    [
        ("train.py", "train.py:train"),
        ("code/fit.py", "code/fit.py:train"),
        ("lab/vision/nets.py", "lab.vision.nets:train"),
        ("lab/__init__.py", "lab:train"),
    ],
)
def test_the_objective_finds_itself_as_a_program(
    run: Run, folder: Path, file: str, function: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNER_ANYTHING", "ours")
    monkeypatch.setenv("PGPASSWORD", "ours")
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    first = path.parent if function.startswith("code/") else folder
    path.write_text(SURROUNDINGS)
    exit_code, answer, _ = _inspect(folder, function)
    assert (exit_code, answer.get("error")) == (0, None)
    left = _left(run(SURROUNDINGS, function=function)[0])
    assert left.facts["seen"] == str(([str(path)], str(first), [str(path)]))
    seen = set(str(left.facts["variables"]).split())
    assert not {name for name in seen if name.startswith(("TUNER_", "PG"))}
    added = seen - os.environ.keys()
    threads = {"OMP_NUM_THREADS", "OMP_WAIT_POLICY", "MKL_NUM_THREADS"}
    # The last two are set by readline in the process of these tests.
    assert added <= {*threads, "COLUMNS", "LINES"}


def test_a_program_that_the_objective_starts_inherits_no_descriptor_of_ours(run: Run) -> None:
    code = """\
import json, os, subprocess, sys

def train(trial):
    look = "import json, os; print(json.dumps([os.readlink(f'/proc/self/fd/{fd}') "
    look += "for fd in range(3, 50) if os.path.lexists(f'/proc/self/fd/{fd}')]))"
    command = [sys.executable, "-c", look]
    answer = subprocess.run(command, stdout=subprocess.PIPE, close_fds=False, check=True)
    trial.set_user_attr("inherited", answer.stdout.decode().strip())
    trial.set_user_attr("stdin", sys.stdin.read())
    command_line = open("/proc/self/cmdline").read()
    trial.set_user_attr("digits", sum(part.isdigit() for part in command_line.split("\\0")))
    return 1
"""
    left = _left(run(code)[0])
    assert left.facts == {"inherited": "[]", "stdin": "", "digits": 0}


def test_what_a_forked_process_writes_or_raises_stays_its_own_affair(run: Run) -> None:
    code = """\
import os

def train(trial):
    pid = os.fork()
    if pid == 0:
        for fd in range(3, 20):
            try:
                os.write(fd, b'garbage')
            except OSError:
                pass
        trial.report(step=1, val_loss=9.0)
        raise ValueError("in the child")
    trial.set_user_attr("child", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    return 0.5
"""
    messages, worker = run(code)
    left = _left(messages)
    assert (left.how, left.value, left.facts) == (Outcome.COMPLETE, 0.5, {"child": 1})
    assert _curve(messages) == {}
    worker.wait()
    assert "ValueError: in the child" in worker.log.read_text()


def test_a_forked_process_ends_by_sigterm_as_multiprocessing_expects(run: Run) -> None:
    code = """\
import multiprocessing, time

def train(trial):
    context = multiprocessing.get_context("fork")
    child = context.Process(target=time.sleep, args=(1000,))
    child.start()
    child.terminate()
    child.join(30)
    return child.exitcode
"""
    left = _left(run(code)[0])
    assert left.value == -signal.SIGTERM


SWALLOWING = {
    "tuner": """\
        try:
            trial.report(step=step, val_loss=1 / step)
        except:
            pass
""",
    "optuna": """\
        try:
            trial.report(1 / step, step - 1)
            if trial.should_prune():
                raise optuna.TrialPruned
        except BaseException:
            pass
""",
    "thread": """\
        thread = threading.Thread(target=trial.report, kwargs={"val_loss": 1 / step})
        thread.start()
        thread.join()
""",
}


@pytest.mark.parametrize("form", SWALLOWING)
@pytest.mark.parametrize(
    ("why", "how"), [(Verdict.PRUNE, Outcome.PRUNED), (Verdict.RELEASE, Outcome.RELEASED)]
)
def test_a_verdict_that_is_swallowed_ends_the_process_at_the_next_report(
    open_worker: OpenWorker, folder: Path, form: str, why: Verdict, how: Outcome
) -> None:
    code = "import optuna, threading\n\ndef train(trial):\n    step = 0\n    while True:\n"
    code += "        step += 1\n" + SWALLOWING[form]
    (folder / "train.py").write_text(code)
    worker = open_worker()
    worker.say(setup_of_function(folder), start_of_trial(decide_at=((2, 3, 1),)))
    worker.hear(Reported, step=2)
    worker.say(Stop(number=4, attempt=1, verdict=why))
    messages = worker.all_until_left()
    assert _curve(messages) == {}, "the last report is the one that got the verdict"
    left = _left(messages)
    note = IGNORED if form == "optuna" and why is Verdict.PRUNE else SWALLOWED
    assert (left.how, left.message) == (how, note)
    assert worker.wait() == 0
    assert f"trial 4 ends here: {note}" in worker.log.read_text()


def test_a_verdict_that_is_swallowed_to_the_end_is_said_too(
    open_worker: OpenWorker, folder: Path
) -> None:
    code = """\
def train(trial):
    try:
        trial.report(val_loss=1.0)
    except BaseException:
        return 0.5
"""
    (folder / "train.py").write_text(code)
    worker = open_worker()
    worker.say(setup_of_function(folder), start_of_trial(decide_at=((1, 2, 1),)))
    worker.hear(Reported)
    worker.say(Stop(number=4, attempt=1, verdict=Verdict.PRUNE))
    left = worker.hear(Left)
    assert (left.how, left.message) == (Outcome.PRUNED, SWALLOWED)


@pytest.mark.parametrize("name", ["KeyboardInterrupt", "GeneratorExit", "asyncio.CancelledError"])
def test_whatever_the_objective_raises_is_its_failure(run: Run, name: str) -> None:
    left = _left(run(f"import asyncio\n\ndef train(trial):\n    raise {name}\n")[0])
    assert (left.how, left.message) == (
        Outcome.EXCEPTION,
        f"{name.rpartition('.')[2]} (train.py:4 in train)",
    )


def test_an_interrupt_at_import_is_a_failure_of_the_file(folder: Path) -> None:
    (folder / "train.py").write_text("raise KeyboardInterrupt\n")
    exit_code, answer, _ = _inspect(folder, "train.py:train")
    assert exit_code == 1
    assert (
        answer["error"] == "importing train.py failed: KeyboardInterrupt (train.py:1 in <module>)"
    )


def test_a_relative_import_suggests_the_modules_own_name(folder: Path) -> None:
    (folder / "pkg").mkdir()
    (folder / "pkg" / "sizes.py").write_text("N = 3\n")
    for file, advice in (
        ("pkg/train.py", "write pkg.train:train"),
        ("train.py", "import it by its name"),
    ):
        (folder / file).write_text("from .sizes import N\ndef train(trial): ...\n")
        _, answer, _ = _inspect(folder, f"{file}:train")
        assert answer["error"] == (
            f"{file} has a relative import, and a file alone belongs to no package; {advice}"
        )
    exit_code, answer, _ = _inspect(folder, "pkg.train:train")
    assert (exit_code, answer["summary"]) == (0, "function pkg.train:train")


def test_a_file_that_is_a_link_finds_its_neighbours_on_both_sides(folder: Path) -> None:
    target = folder.parent / "elsewhere"
    target.mkdir()
    (target / "there.py").write_text("N = 1\n")
    (target / "train.py").write_text("import here, there\ndef train(trial): ...\n")
    (folder / "here.py").write_text("N = 2\n")
    (folder / "train.py").symlink_to(target / "train.py")
    exit_code, answer, _ = _inspect(folder, "train.py:train")
    assert (exit_code, sorted(answer["code"])) == (0, ["here.py", "there.py", "train.py"])


def test_lines_of_a_librarys_logger_come_once_and_as_it_writes_them(run: Run) -> None:
    code = """\
import logging

library = logging.getLogger("library")
library.addHandler(logging.StreamHandler())
library.warning("from the library")
logging.getLogger("plain").warning("without a handler")

def train(trial):
    logging.basicConfig(format="own %(message)s", level="INFO")
    logging.getLogger("mine").info("set up by the user")
    trial.set_user_attr("long", "x" * 9999)
    return 1
"""
    messages, worker = run(code)
    assert _left(messages).how is Outcome.COMPLETE
    worker.wait()
    assert worker.log.read_text().splitlines() == [
        "from the library",
        "without a handler",
        "own set up by the user",
        "WARNING tuner.trial.trial: attribute long is dropped: it is longer than 2000 characters",
    ]
