"""Guarantees 9-11: a bad trial hurts only itself, and its record says what was wrong with it."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from agents import Fleet

TRAIN = """\
import ctypes, os, resource, signal, sys, threading, time

import numpy
import torch


def train(trial):
    fault = trial.params["fault"]
    trial.report(step=1, val_loss=1.0)
    print("about to meet", fault, flush=True)
    value = globals()[fault](trial)
    return 0.5 if value is None else value


def exception(trial):
    raise ValueError("no such layer: conv9")

def missing_file(trial):
    open("data/train.csv")

def chained(trial):
    try:
        {}["learning_rate"]
    except KeyError as error:
        raise RuntimeError("cannot build the model") from error

def nan(trial):
    trial.report(step=2, val_loss=float("nan"))

def plus_infinity(trial):
    trial.report(step=2, val_loss=float("inf"))

def minus_infinity(trial):
    return float("-inf")

def huge(trial):
    return 1e308

def text(trial):
    return "0.5"

def array(trial):
    return numpy.zeros(3)

def number_of_numpy(trial):
    return numpy.float32(0.25)

def tensor(trial):
    return torch.tensor(0.25, dtype=torch.float64)

def tensor_without_data(trial):
    return torch.tensor(0.25, device="meta")

def memory_of_python(trial):
    resource.setrlimit(resource.RLIMIT_AS, (1 << 33, 1 << 33))
    bytearray(1 << 36)

def memory_of_torch(trial):
    resource.setrlimit(resource.RLIMIT_AS, (1 << 33, 1 << 33))
    torch.zeros(1 << 34)

def device_assert(trial):
    raise RuntimeError("CUDA error: device-side assert triggered")

def segfault(trial):
    ctypes.string_at(0)

def once(trial):
    marker = trial.dir / "was here"
    is_first = not marker.exists()
    marker.touch()
    return is_first

def abort(trial):
    if once(trial):
        os.abort()

def killed(trial):
    if once(trial):
        os.kill(os.getpid(), signal.SIGKILL)

def leave(trial):
    os._exit(3)

def sys_exit(trial):
    sys.exit("bye")

def sleep(trial):
    time.sleep(3600)

def hold_the_interpreter(trial):
    ends = os.pipe()
    ctypes.PyDLL(None).read(ends[0], ctypes.create_string_buffer(1), 1)  # never lets go of the GIL

def deadlocked_loader(trial):
    lock = threading.Lock()
    lock.acquire()

    class Rows(torch.utils.data.Dataset):
        def __len__(self):
            return 8

        def __getitem__(self, index):
            with lock:
                return index

    for _ in torch.utils.data.DataLoader(Rows(), num_workers=1, multiprocessing_context="fork"):
        pass

def ignores_the_terminator(trial):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(3600)

def runaway_output(trial):
    for _ in range(400):
        print("x" * 50_000)

def backwards(trial):
    trial.report(step=1, val_loss=1.0)

def no_metric(trial):
    trial.report(step=2, val_los=1.0)

def leaves_a_thread(trial):
    threading.Thread(target=time.sleep, args=(3600,)).start()
    return 0.5

def leaves_a_process(trial):
    if os.fork() == 0:
        time.sleep(3600)
        os._exit(0)
    return 0.5
"""

STUDY = """\
name: faults
objective: train.py:train
minimize: val_loss
search_space: {fault: {choice: [%s]}}
sampler: grid
pruner: none
trial: {timeout: 60s}
failures: {retries: 0, silence: 4s, stop_after: never, lease: 3s}
"""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What becomes of a trial."""

    state: str = "FAIL"
    cause: str | None = None
    sentence: str = ""
    traceback: str = ""  # a part of it
    attempts: int = 1
    log: str = "about to meet"


GOOD = Fault(state="COMPLETE")
HANG = Fault(cause="silence", sentence="no sign of progress for 4s; killed, its stacks are in")
FAULTS = {
    "exception": Fault(
        cause="exception",
        sentence="ValueError: no such layer: conv9 (train.py:16 in exception)",
        traceback="in exception\n",
    ),
    "missing_file": Fault(cause="exception", sentence="No such file or directory: 'data/train"),
    "chained": Fault(
        cause="exception",
        sentence="RuntimeError: cannot build the model",
        traceback="KeyError: 'learning_rate'",
    ),
    "nan": Fault(cause="non_finite", sentence="val_loss is nan at step 2"),
    "plus_infinity": Fault(cause="non_finite", sentence="val_loss is inf at step 2"),
    "minus_infinity": Fault(cause="non_finite", sentence="-inf"),
    "huge": GOOD,
    "text": Fault(cause="mistake", sentence="it returned a str; return a float (train.py:"),
    "array": Fault(cause="mistake", sentence="train.py:"),
    "number_of_numpy": GOOD,
    "tensor": Fault(cause="mistake", sentence="return it as a float, with .item()"),
    "tensor_without_data": Fault(cause="mistake", sentence="train.py:"),
    "memory_of_python": Fault(cause="out_of_memory", sentence="MemoryError"),
    "memory_of_torch": Fault(cause="out_of_memory", sentence="can't allocate memory"),
    "device_assert": Fault(cause="exception", sentence="CUDA error: device-side assert triggered"),
    "segfault": Fault(cause="crash", sentence="crashed (SIGSEGV) (quarantined: lost 5", attempts=5),
    "abort": Fault(state="COMPLETE", attempts=2),  # lost once, and tried again
    "killed": Fault(state="COMPLETE", attempts=2),
    "leave": Fault(cause="exit", sentence="the worker process left with exit code 3"),
    "sys_exit": Fault(cause="exception", sentence="the objective called sys.exit('bye')"),
    "sleep": Fault(**{**HANG.__dict__, "log": "in sleep\n"}),
    "hold_the_interpreter": Fault(**{**HANG.__dict__, "log": "in hold_the_interpreter"}),
    "deadlocked_loader": Fault(**{**HANG.__dict__, "log": "in deadlocked_loader"}),
    "ignores_the_terminator": HANG,
    "runaway_output": Fault(state="COMPLETE", log="xxxx"),
    "backwards": Fault(cause="mistake", sentence="train.py:"),
    "no_metric": Fault(cause="mistake", sentence="val_loss"),
    "leaves_a_thread": GOOD,
    "leaves_a_process": GOOD,
}


OF_TORCH = {"tensor", "tensor_without_data", "memory_of_torch", "deadlocked_loader"}


@pytest.mark.parametrize("is_light", [True, False], ids=["without torch", "with torch"])
def test_each_fault_ends_its_own_trial_with_class_sentence_and_log(
    fleet: Fleet, tmp_path: Path, is_light: bool
) -> None:
    faults = {name: fault for name, fault in FAULTS.items() if (name in OF_TORCH) != is_light}
    (tmp_path / "train.py").write_text(TRAIN)
    study = tmp_path / "faults.yaml"
    study.write_text(STUDY % ", ".join(faults))
    agent = fleet.start(study, workers=4 if is_light else 2, is_light=is_light)
    assert agent.wait(100) == (0 if is_light else 5), agent.output
    found = fleet.query(
        "select t.state::text, l.failure, l.reason, l.attempt, g.message, g.traceback, g.tail,"
        " (select param_value from trial_params p where p.trial_id = t.trial_id)"
        " from trials t join tuner.lease l using (trial_id)"
        " left join tuner.log g on g.number = l.number and g.attempt = l.attempt"
    )
    names = list(faults)
    by_name = {names[int(row[-1])]: row[:-1] for row in found}
    assert by_name.keys() == faults.keys(), "each cell once"
    wrong = []
    for name, fault in faults.items():
        state, cause, reason, attempt, message, traceback, tail = by_name[name]
        checks = [
            (state, cause, attempt) == (fault.state, fault.cause, fault.attempts),
            fault.sentence in (reason or ""),
            fault.state == "COMPLETE" or bool(message),
            fault.traceback in (traceback or ""),
            fault.log in (tail or ""),
            len(tail or "") <= 65_536,
        ]
        if not all(checks):
            wrong.append((name, checks, by_name[name]))
    assert not wrong, "\n".join(map(str, wrong))
    best = fleet.query(
        "select min(value) from trial_values join trials using (trial_id) where state = 'COMPLETE'"
    )
    assert best == [(0.25 if is_light else None,)]
    assert "Traceback" not in agent.output


NUMBERS = """\
def train(trial):
    trial.report(step=1, val_loss=1.0)
    if trial.params["x"] > {bad}:
        raise ValueError("too large: %s" % trial.params["x"])
    return trial.params["x"]
"""


@pytest.mark.parametrize(("retries", "attempts"), [(0, 1), (2, 3)])
def test_a_failing_trial_is_tried_again_as_often_as_asked_and_then_quarantined(
    fleet: Fleet, tmp_path: Path, retries: int, attempts: int
) -> None:
    (tmp_path / "train.py").write_text(NUMBERS.format(bad=1))
    study = tmp_path / "numbers.yaml"
    study.write_text(
        "name: numbers\nobjective: train.py:train\nminimize: val_loss\n"
        "search_space: {x: {choice: [1, 2, 3]}}\nsampler: grid\npruner: none\n"
        f"failures: {{retries: {retries}, stop_after: never}}\n"
    )
    agent = fleet.start(study, workers=2, is_light=True)
    assert agent.wait() == 0, agent.output
    assert fleet.states() == {"COMPLETE": 1, "FAIL": 2}
    rows = fleet.query(
        "select attempt, failures, losses from tuner.lease where failure is not null"
    )
    assert rows == [(attempts, attempts, 0)] * 2
    reasons = fleet.query("select reason from tuner.lease where failure is not null")
    if retries:
        assert all("quarantined: failed 3 times" in reason for (reason,) in reasons)
    again = fleet.start(study, is_light=True)
    assert again.wait() == 0
    assert fleet.states() == {"COMPLETE": 1, "FAIL": 2}, "nothing runs it again by itself"
