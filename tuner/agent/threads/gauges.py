"""What the devices' gauges say: memory, load and power. For screens; nothing is decided by it."""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

import pynvml

from tuner.agent.devices import Device
from tuner.agent.memory import open_gpu, used_bytes
from tuner.agent.workers.process import Worker
from tuner.cgroups import Cgroups
from tuner.helper_thread import HelperThread
from tuner.study.activity import Gauge

READ_SECONDS = 2.0
STALE_SECONDS = 15.0  # a driver that hangs leaves no old numbers on a screen
_MILLIWATTS = 1000


class GaugeThread(HelperThread):
    """Reads the gauges now and then, in a thread of its own: a sick driver may hang for ever."""

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
        """Read them once."""
        self._read = self._now(), read_gauges(self._workers())
        return READ_SECONDS

    def latest(self) -> Mapping[str, Gauge]:
        """By the workers' place; nothing where they were last read too long ago."""
        at, gauges = self._read
        return gauges if self._now() - at < STALE_SECONDS else {}


def read_gauges(workers: Iterable[Worker]) -> dict[str, Gauge]:
    """By the workers' place; devices that cannot be asked are left out."""
    places: dict[str, list[Worker]] = {}
    for worker in workers:
        places.setdefault(worker.place.device.name, []).append(worker)
    found: dict[str, Gauge] = {}
    for sharing in places.values():
        device = sharing[0].place.device
        with suppress(OSError, ValueError, pynvml.NVMLError):
            on_cpu = device.torch_device == "cpu"
            gauge = _of_cpu([w.training_pid for w in sharing]) if on_cpu else _of_gpu(device)
            found |= {worker.place.name: gauge for worker in sharing}
    return found


def _of_cpu(pids: Iterable[int]) -> Gauge:
    """A share of the CPU has no gauge of its own: the memory of its workers."""
    used = sum(used_bytes(pids).values())
    return Gauge(used_bytes=used, total_bytes=Cgroups().memory().total)


def _of_gpu(device: Device) -> Gauge:
    """All of the GPU, or of the MIG slice, which has neither a load nor a power of its own."""
    with open_gpu(device) as handle:
        info = pynvml.nvmlDeviceGetMemoryInfo(handle)
        load = watts = None
        with suppress(pynvml.NVMLError):
            load = pynvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100
        with suppress(pynvml.NVMLError):
            watts = pynvml.nvmlDeviceGetPowerUsage(handle) / _MILLIWATTS
    return Gauge(used_bytes=int(info.used), total_bytes=int(info.total), load=load, watts=watts)
