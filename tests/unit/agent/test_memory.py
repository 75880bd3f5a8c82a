"""Several workers on one device: each starts once its memory is there, as seen on the others."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pynvml
import pytest

from tests.unit.agent.machines import WORKER, Bench, claimed_trial, of_type
from tuner.agent import acts, events
from tuner.agent.devices import Device
from tuner.agent.memory import Memory, read_memory
from tuner.agent.state import WorkerState
from tuner.agent.workers.process import Place, Worker
from tuner.messages import Ready
from tuner.study.verdict import Outcome

GIB = 2**30
START = (sys.executable, "-c", "print(flush=True); input()")


def _bench() -> Bench:
    """Three workers on one GPU, of which the first trains."""
    bench = Bench()
    for index in range(3):
        bench.machine.workers[WORKER + index] = WorkerState(name=f"gpu:0#{index}")
    _read(bench, free=8 * GIB)
    bench.ready()
    bench.claimed(claimed_trial(0))
    for index in (1, 2):
        bench.say(Ready(n_free=1, n_taken=0), worker=WORKER + index)
    return bench


def _read(bench: Bench, *, free: int, used: dict[int, int] | None = None) -> list[acts.Act]:
    memory = Memory(free_bytes=free, used_bytes=used or {})
    return bench.do(events.MemoryRead(by_device={"gpu:0": memory}))


def _asked(result: list[acts.Act]) -> int:
    return sum(claim.limit for claim in of_type(result, acts.AskClaim))


def test_the_others_wait_until_one_has_been_seen_at_work() -> None:
    bench = _bench()
    assert not bench.machine.claims.is_claiming
    _read(bench, free=5 * GIB, used={WORKER: 3 * GIB})
    assert not bench.machine.claims.is_claiming, "it has not reported a step"
    bench.report(claimed_trial(0), 1, 0.5)
    assert not bench.machine.claims.is_claiming, "it has not been looked at since"
    assert _asked(_read(bench, free=5 * GIB, used={WORKER: 3 * GIB})) == 1
    # the one that starts leaves too little for the third
    result = bench.claimed(claimed_trial(1))
    assert [act.worker for act in of_type(result, acts.Send)] == [WORKER + 1]
    assert not bench.machine.claims.is_claiming


def test_a_full_device_gets_no_more_and_a_free_one_does() -> None:
    bench = _bench()
    _read(bench, free=2 * GIB, used={WORKER: 1 * GIB})
    bench.report(claimed_trial(0), 1, 0.5)
    assert _asked(_read(bench, free=2 * GIB, used={WORKER: 3 * GIB})) == 0
    assert _asked(_read(bench, free=3 * GIB, used={WORKER: 2 * GIB})) == 0
    assert bench.machine.memory.max_bytes == {"gpu:0": 3 * GIB}, "the most that was seen counts"
    assert _asked(_read(bench, free=7 * GIB)) == 1
    result = bench.claimed(claimed_trial(1))
    assert [act.worker for act in of_type(result, acts.Send)] == [WORKER + 1]
    assert _asked(result) == 1, "there is room for another that starts"


def test_an_empty_device_needs_no_measure() -> None:
    bench = Bench()
    bench.machine.workers[WORKER] = WorkerState(name="gpu:0#0")
    _read(bench, free=0)
    assert _asked(bench.ready()) == 1


def test_indistinguishable_processes_start_one_after_the_other() -> None:
    bench = _bench()
    assert not bench.machine.claims.is_claiming
    bench.report(claimed_trial(0), 1, 0.5)
    assert bench.machine.claims.is_claiming


def test_what_a_process_uses_is_read() -> None:
    with subprocess.Popen(START, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        device = Device(name="cpu:0", torch_device="cpu")
        worker = Worker(
            place=Place(name="cpu:0#0", device=device),
            process=process,
            write_fd=-1,
            read_fd=-1,
            log_fd=-1,
        )
        found = read_memory([worker])
        process.communicate(b"\n")
    assert found["cpu:0"].free_bytes > 2**20
    assert found["cpu:0"].used_bytes[process.pid] > 2**20
    assert os.getpid() not in found["cpu:0"].used_bytes


def test_trials_too_short_to_be_measured_do_not_train_one_by_one_for_ever() -> None:
    bench = _bench()
    _read(bench, free=5 * GIB, used={WORKER: 1 * GIB})
    assert not bench.machine.claims.is_claiming
    result = bench.leave(claimed_trial(0), Outcome.COMPLETE, value=0.5)
    assert _asked(result) == 1
    result = bench.claimed(claimed_trial(1))
    assert [act.worker for act in of_type(result, acts.Send)] == [WORKER + 1]
    assert _asked(result) == 1, "the third worker need not wait for it"


def test_the_fullest_gpu_of_a_place_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device(
        name="gpu:0-1",
        torch_device="cuda:0",
        uuids=(
            "GPU-7",
            "GPU-8",
        ),
        has_nvml=True,
    )
    free = {"GPU-7": 5 * GIB, "GPU-8": 3 * GIB}
    monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlShutdown", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByUUID", lambda uuid: uuid)
    monkeypatch.setattr(
        pynvml, "nvmlDeviceGetMemoryInfo", lambda uuid: SimpleNamespace(free=free[uuid])
    )
    with subprocess.Popen(START, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        use = SimpleNamespace(pid=process.pid, usedGpuMemory=2 * GIB)
        monkeypatch.setattr(pynvml, "nvmlDeviceGetComputeRunningProcesses", lambda _: [use])
        place = Place(name="gpu:0-1", device=device)
        worker = Worker(place=place, process=process, write_fd=-1, read_fd=-1, log_fd=-1)
        found = read_memory([worker])
        process.communicate(b"\n")
    assert found == {"gpu:0-1": Memory(free_bytes=3 * GIB, used_bytes={process.pid: 4 * GIB})}


def test_a_device_that_cannot_be_asked_is_left_out() -> None:
    device = Device(name="gpu:9", torch_device="cuda:0", uuids=("GPU-none",), has_nvml=True)
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        place = Place(name="gpu:9#0", device=device)
        worker = Worker(place=place, process=process, write_fd=-1, read_fd=-1, log_fd=-1)
        assert read_memory([worker]) == {}
