"""How much memory a device has left, and what the workers on it use, without CUDA or torch."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pynvml

from tuner.agent.devices import Device
from tuner.agent.worker_process import Worker

_KIB = 1024


@dataclass(frozen=True, kw_only=True)
class Memory:
    """A device's memory, in bytes."""

    free_bytes: int
    used_bytes: Mapping[int, int] = field(default_factory=dict)  # by worker pid, where known


def read_memory(workers: Iterable[Worker]) -> dict[str, Memory]:
    """By device name; devices that cannot be asked are left out."""
    pids: dict[str, list[int]] = {}
    devices: dict[str, Device] = {}
    for worker in workers:
        device = worker.place.device
        devices[device.name] = device
        pids.setdefault(device.name, []).append(worker.pid)
    found: dict[str, Memory] = {}
    for name, device in devices.items():
        with suppress(OSError, ValueError, pynvml.NVMLError):
            on_cpu = device.torch_device == "cpu"
            found[name] = _of_cpu(pids[name]) if on_cpu else _of_gpu(device, pids[name])
    return found


def _of_cpu(pids: Iterable[int]) -> Memory:
    free = kib_of(Path("/proc/meminfo").read_text(), "MemAvailable:")
    used: dict[int, int] = {}
    for pid in pids:
        with suppress(OSError, ValueError):
            used[pid] = kib_of(Path(f"/proc/{pid}/status").read_text(), "VmRSS:") * _KIB
    return Memory(free_bytes=free * _KIB, used_bytes=used)


def kib_of(text: str, name: str) -> int:
    """The number behind a name; raises ValueError where it is not there."""
    for line in text.splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    raise ValueError(f"no {name}")


def _of_gpu(device: Device, pids: Iterable[int]) -> Memory:
    pynvml.nvmlInit()
    try:
        uuid = device.environment["CUDA_VISIBLE_DEVICES"]
        handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
        info = pynvml.nvmlDeviceGetMemoryInfo(handle)
        processes = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
    finally:
        pynvml.nvmlShutdown()
    wanted = set(pids)
    used = {p.pid: p.usedGpuMemory for p in processes if p.pid in wanted and p.usedGpuMemory}
    return Memory(free_bytes=int(info.free), used_bytes=used)
