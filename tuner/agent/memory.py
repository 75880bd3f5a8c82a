"""Free memory of devices and use by their workers, read without CUDA or torch."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pynvml

from tuner.agent.devices import Device
from tuner.agent.workers.process import Worker
from tuner.cgroups import Cgroups

_KIB = 1024


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Memory of a device, in bytes."""

    free_bytes: int
    used_bytes: Mapping[int, int] = field(default_factory=dict)  # by worker pid, where known


def read_memory(workers: Iterable[Worker]) -> dict[str, Memory]:
    """Return memory by device name; unreadable devices are left out."""
    pids: dict[str, dict[int, int]] = {}  # by device: the workers, by the process that trains
    devices: dict[str, Device] = {}
    for worker in workers:
        device = worker.place.device
        devices[device.name] = device
        pids.setdefault(device.name, {})[worker.training_pid] = worker.pid
    found: dict[str, Memory] = {}
    for name, device in devices.items():
        with suppress(OSError, ValueError, pynvml.NVMLError):
            if device.torch_device == "cpu":
                found[name] = _of_cpu(pids[name])
            elif device.has_nvml:
                found[name] = _of_gpus(device, pids[name])
    return found


def _of_cpu(workers: Mapping[int, int]) -> Memory:
    used = {workers[pid]: n for pid, n in used_bytes(workers).items()}
    return Memory(free_bytes=Cgroups().memory().free, used_bytes=used)


def used_bytes(pids: Iterable[int]) -> dict[int, int]:
    """Return the memory of processes by pid; ended ones are left out."""
    used: dict[int, int] = {}
    for pid in pids:
        with suppress(OSError, ValueError):
            used[pid] = _bytes_of(Path(f"/proc/{pid}/status"), "VmRSS")
    return used


def _bytes_of(table: Path, name: str) -> int:
    """Return the number after a name; raises ValueError if it is missing."""
    for line in table.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * _KIB
    raise ValueError(f"no {name}")


@contextmanager
def open_gpus(device: Device) -> Iterator[Sequence[Any]]:
    """Yield NVML's handles of its GPUs, or of its MIG slice; raises `pynvml.NVMLError`."""
    pynvml.nvmlInit()
    try:
        yield [pynvml.nvmlDeviceGetHandleByUUID(uuid) for uuid in device.uuids]
    finally:
        pynvml.nvmlShutdown()


def _of_gpus(device: Device, workers: Mapping[int, int]) -> Memory:
    """Return the free memory of the fullest GPU, and the use of all of them."""
    used: Counter[int] = Counter()
    with open_gpus(device) as handles:
        free_bytes = min(int(pynvml.nvmlDeviceGetMemoryInfo(handle).free) for handle in handles)
        for handle in handles:
            for process in pynvml.nvmlDeviceGetComputeRunningProcesses(handle):
                if process.pid in workers and process.usedGpuMemory:
                    used[workers[process.pid]] += process.usedGpuMemory
    return Memory(free_bytes=free_bytes, used_bytes=dict(used))
