"""Gauges: what is read of devices, and that a sick driver leaves nothing old on a screen."""

import json
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pynvml
import pytest

from tests.unit.agent.machines import Bench
from tuner.agent.devices import Device
from tuner.agent.screen import render_screen
from tuner.agent.threads.gauges import STALE_SECONDS, GaugeThread, read_gauges
from tuner.agent.workers.process import Place, Worker
from tuner.study.activity import Gauge, parse_activity

GPU = Device(name="gpu:0", torch_device="cuda:0", uuids=("GPU-7",), has_nvml=True)
GIB = 2**30


def _worker(place: str, device: Device, process: "subprocess.Popen[bytes]") -> Worker:
    place_of = Place(name=place, device=device)
    return Worker(place=place_of, process=process, write_fd=-1, read_fd=-1, log_fd=-1)


@pytest.fixture
def process():
    command = [sys.executable, "-c", "print(flush=True); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it has all of its memory
        yield process
        process.communicate(b"\n")


@pytest.fixture
def driver(monkeypatch):
    """A driver with one GPU, as NVML's functions show it; `asked` are the UUIDs asked for."""
    asked = []

    def find(uuid):
        asked.append(uuid)
        return "handle"

    answers = {
        "nvmlInit": lambda: None,
        "nvmlShutdown": lambda: None,
        "nvmlDeviceGetHandleByUUID": find,
        "nvmlDeviceGetMemoryInfo": lambda _: SimpleNamespace(used=9 * GIB, total=80 * GIB),
        "nvmlDeviceGetUtilizationRates": lambda _: SimpleNamespace(gpu=93),
        "nvmlDeviceGetPowerUsage": lambda _: 412_000,
    }
    for name, answer in answers.items():
        monkeypatch.setattr(pynvml, name, answer)
    return asked


def test_workers_on_the_cpu_have_the_memory_of_their_processes(process):
    device = Device(name="cpu:0", torch_device="cpu")
    gauges = read_gauges([_worker("cpu:0#0", device, process), _worker("cpu:0#1", device, process)])
    assert gauges.keys() == {"cpu:0#0", "cpu:0#1"}
    gauge = gauges["cpu:0#0"]
    assert 2 * 2**20 < gauge.used_bytes < gauge.total_bytes
    assert (gauge.load, gauge.watts) == (None, None)


def test_the_memory_of_ranks_on_the_cpu_counts(process):
    rank = "content = bytearray(64 << 20); print(flush=True); input()"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {rank!r}])"
    device = Device(name="cpu:0", torch_device="cpu")
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as worker:
        assert worker.stdout is not None
        worker.stdout.readline()  # the rank has all of its memory
        (gauge,) = read_gauges([_worker("cpu:0", device, worker)]).values()
        worker.communicate(b"\n")
    assert gauge.used_bytes > 64 << 20


def test_a_gpu_tells_memory_load_and_watts(driver, process):
    gauges = read_gauges([_worker("gpu:0", GPU, process)])
    expected = Gauge(used_bytes=9 * GIB, total_bytes=80 * GIB, load=0.93, watts=412.0)
    assert gauges == {"gpu:0": expected}
    assert driver == ["GPU-7"]


def test_the_gpus_of_a_place_have_one_gauge(driver, process, monkeypatch):
    pair = replace(
        GPU,
        name="gpu:0-1",
        uuids=(
            "GPU-7",
            "GPU-8",
        ),
        has_nvml=True,
    )
    loads = iter([93, 47])
    answer = lambda _: SimpleNamespace(gpu=next(loads))  # noqa: E731
    monkeypatch.setattr(pynvml, "nvmlDeviceGetUtilizationRates", answer)
    (gauge,) = read_gauges([_worker("gpu:0-1", pair, process)]).values()
    assert gauge == Gauge(used_bytes=18 * GIB, total_bytes=160 * GIB, load=0.7, watts=824.0)
    assert driver == ["GPU-7", "GPU-8"]


def test_a_slice_without_load_and_power_tells_its_memory(driver, process, monkeypatch):
    def refuse(_):
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)

    monkeypatch.setattr(pynvml, "nvmlDeviceGetUtilizationRates", refuse)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetPowerUsage", refuse)
    gauge = read_gauges([_worker("gpu:0/mig:0", GPU, process)])["gpu:0/mig:0"]
    assert (gauge.used_bytes, gauge.load, gauge.watts) == (9 * GIB, None, None)


def test_a_device_that_cannot_be_asked_has_no_gauge(process):
    assert read_gauges([_worker("gpu:0", GPU, process)]) == {}


def test_what_was_read_too_long_ago_is_not_shown(driver, process):
    now = [100.0]
    thread = GaugeThread(lambda: [_worker("gpu:0", GPU, process)], now=lambda: now[0])
    assert thread.latest() == {}
    thread.work()
    now[0] += STALE_SECONDS - 1
    assert thread.latest().keys() == {"gpu:0"}
    now[0] += 2
    assert thread.latest() == {}


def test_a_screen_elsewhere_reads_what_this_one_says(driver, process):
    gauges = read_gauges([_worker("gpu:0", GPU, process)])
    bench = Bench()
    said = json.loads(render_screen(bench.machine, bench.now, gauges))
    assert parse_activity(said).gauges == gauges


@pytest.mark.parametrize("gauge", [None, {}, 3, {"used_bytes": "many", "total_bytes": 1}])
def test_a_gauge_that_cannot_be_read_is_left_out(gauge):
    assert parse_activity({"gauges": {"gpu:0": gauge}}).gauges == {}
