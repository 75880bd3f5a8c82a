"""GPUs and MIG slices of NVIDIA, by NVML: neither torch nor CUDA is initialized."""

from contextlib import suppress
from typing import Any

import pynvml

from tuner.agent.gpus.found import FoundGpu


def list_nvidia() -> list[FoundGpu]:
    """Return the GPUs in the driver's order; a GPU with MIG slices is listed by its slices."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []  # no driver: no GPU
    try:
        found: list[FoundGpu] = []
        for index in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            found += _list_slices(handle, index) or [_found(handle, f"gpu:{index}", index)]
        return found
    finally:
        pynvml.nvmlShutdown()


def _list_slices(handle: object, index: int) -> list[FoundGpu]:
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
        slices.append(_found(part, f"gpu:{index}/mig:{slot}", index))
    return slices


def _found(handle: Any, name: str, index: int) -> FoundGpu:
    memory_bytes = None
    with suppress(pynvml.NVMLError):
        memory_bytes = int(pynvml.nvmlDeviceGetMemoryInfo(handle).total)
    return FoundGpu(
        name=name,
        uuid=pynvml.nvmlDeviceGetUUID(handle),
        index=index,
        product=pynvml.nvmlDeviceGetName(handle),
        memory_bytes=memory_bytes,
    )
