"""This machine's devices, found without torch and without initializing CUDA."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

import pynvml

from tuner.cgroups import Cgroups
from tuner.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Device:
    """A GPU, a MIG slice, or a share of the CPU."""

    name: str  # "gpu:0", "gpu:0/mig:1", "cpu:3"
    torch_device: str  # name within the worker, which sees no other device
    environment: Mapping[str, str] = field(default_factory=dict)
    n_threads: int = 1  # for each of its workers
    product: str = ""  # of a GPU: "NVIDIA H200"


@dataclass(frozen=True, kw_only=True)
class FoundGpu:
    """A GPU or MIG slice as the driver lists it."""

    name: str
    uuid: str
    index: int  # of the physical GPU
    product: str = ""


def list_devices(
    n_cpu_workers: int | None, processes: int, cgroups: Cgroups | None = None
) -> list[Device]:
    """List each visible GPU or MIG slice; without any, shares of the CPU.

    `n_cpu_workers` (default: one per core that this process may use) counts the shares; `processes`
    workers run on each device. Raises `UsageError` when CPU workers are requested on a machine with
    GPUs.
    """
    n_cores = (cgroups or Cgroups()).n_cores()
    gpus = select_visible(_list_gpus(), os.environ.get("CUDA_VISIBLE_DEVICES"))
    if gpus and n_cpu_workers is None:
        return [
            Device(
                name=gpu.name,
                torch_device="cuda:0",
                environment={"CUDA_VISIBLE_DEVICES": gpu.uuid},
                n_threads=max(1, n_cores // (len(gpus) * processes)),
                product=gpu.product,
            )
            for gpu in gpus
        ]
    if gpus:
        raise UsageError(
            f"--workers counts CPU workers, and this machine has {len(gpus)} visible GPUs; "
            "leave it out (workers.processes sets the workers per GPU), or hide the GPUs with "
            "CUDA_VISIBLE_DEVICES="
        )
    n_shares = n_cpu_workers or n_cores
    n_threads = max(1, n_cores // (n_shares * processes))
    return [
        Device(
            name=f"cpu:{share}",
            torch_device="cpu",
            environment={"CUDA_VISIBLE_DEVICES": ""},
            n_threads=n_threads,
        )
        for share in range(n_shares)
    ]


def select_visible(gpus: list[FoundGpu], visible: str | None) -> list[FoundGpu]:
    """Apply CUDA_VISIBLE_DEVICES: indices, or UUIDs and their unique beginnings.

    As in the CUDA driver, everything from the first unknown entry on is invisible.
    """
    if visible is None:
        return gpus
    chosen: list[FoundGpu] = []
    for entry in (part.strip() for part in visible.split(",")):
        matches = [gpu for gpu in gpus if _is_meant(entry, gpu)]
        if not entry or not matches:
            break
        chosen += [gpu for gpu in matches if gpu not in chosen]
    return chosen


def _is_meant(entry: str, gpu: FoundGpu) -> bool:
    if entry.isdigit():
        return int(entry) == gpu.index
    return bool(entry) and gpu.uuid.startswith(entry)


def _list_gpus() -> list[FoundGpu]:
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []  # no driver: no GPU
    try:
        found: list[FoundGpu] = []
        for index in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            product = pynvml.nvmlDeviceGetName(handle)
            uuid = pynvml.nvmlDeviceGetUUID(handle)
            whole = FoundGpu(name=f"gpu:{index}", uuid=uuid, index=index, product=product)
            found += _list_mig_slices(handle, index) or [whole]
        return found
    finally:
        pynvml.nvmlShutdown()


def _list_mig_slices(handle: object, index: int) -> list[FoundGpu]:
    try:
        current, _pending = pynvml.nvmlDeviceGetMigMode(handle)
        if current != pynvml.NVML_DEVICE_MIG_ENABLE:
            return []
        n_slots = pynvml.nvmlDeviceGetMaxMigDeviceCount(handle)
    except pynvml.NVMLError:
        return []  # this GPU knows no MIG
    slices = []
    for slot in range(n_slots):
        try:
            part = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, slot)
        except pynvml.NVMLError:
            continue  # an empty slot
        uuid = pynvml.nvmlDeviceGetUUID(part)
        product = pynvml.nvmlDeviceGetName(part)
        slices.append(
            FoundGpu(name=f"gpu:{index}/mig:{slot}", uuid=uuid, index=index, product=product)
        )
    return slices
