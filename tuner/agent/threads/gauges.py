"""Gauges of the devices: memory, load and power. They are only displayed."""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

import pynvml

from tuner.agent.devices import Device
from tuner.agent.memory import open_gpus, used_bytes
from tuner.agent.workers.process import Worker
from tuner.cgroups import Cgroups
from tuner.helper_thread import HelperThread
from tuner.processes import with_descendants
from tuner.study.activity import Gauge

READ_SECONDS = 2.0
STALE_SECONDS = 15.0  # a driver that hangs leaves no old numbers on a screen
_MILLIWATTS = 1000


class GaugeThread(HelperThread):
    """Reads the gauges periodically in a thread of its own: a faulty driver may hang forever."""

    def __init__(
        self,
        workers: Callable[[], Iterable[Worker]],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__("gauges")
        self._workers = workers
        self._now = now
        self._read: tuple[float, Mapping[str, Gauge]] = (now(), {})

    def work(self) -> float:
        self._read = self._now(), read_gauges(self._workers())
        return READ_SECONDS

    def latest(self) -> Mapping[str, Gauge]:
        """Return gauges by the workers' place; empty if the last reading is too old."""
        at, gauges = self._read
        return gauges if self._now() - at < STALE_SECONDS else {}


def read_gauges(workers: Iterable[Worker]) -> dict[str, Gauge]:
    """Return gauges by the workers' place; unreadable devices are left out."""
    places: dict[str, list[Worker]] = {}
    for worker in workers:
        places.setdefault(worker.place.device.name, []).append(worker)
    found: dict[str, Gauge] = {}
    for sharing in places.values():
        device = sharing[0].place.device
        with suppress(OSError, ValueError, pynvml.NVMLError):
            on_cpu = device.torch_device == "cpu"
            if not on_cpu and not device.has_nvml:
                continue
            gauge = _of_cpu([w.training_pid for w in sharing]) if on_cpu else _of_gpus(device)
            found |= {worker.place.name: gauge for worker in sharing}
    return found


def _of_cpu(pids: Iterable[int]) -> Gauge:
    """Return the memory of its workers, and of the ranks and programs that they have started.

    A share of the CPU has no gauge of its own.
    """
    used = sum(used_bytes(with_descendants(pids)).values())
    return Gauge(used_bytes=used, total_bytes=Cgroups().memory().total)


def _of_gpus(device: Device) -> Gauge:
    """Return the sums over its GPUs, and their mean load; a MIG slice has no load and no power."""
    with open_gpus(device) as handles:
        infos = [pynvml.nvmlDeviceGetMemoryInfo(handle) for handle in handles]
        load = watts = None
        with suppress(pynvml.NVMLError):
            loads = [pynvml.nvmlDeviceGetUtilizationRates(handle).gpu for handle in handles]
            load = sum(loads) / len(loads) / 100
        with suppress(pynvml.NVMLError):
            powers = [pynvml.nvmlDeviceGetPowerUsage(handle) for handle in handles]
            watts = sum(powers) / _MILLIWATTS
    return Gauge(
        used_bytes=sum(int(info.used) for info in infos),
        total_bytes=sum(int(info.total) for info in infos),
        load=load,
        watts=watts,
    )
