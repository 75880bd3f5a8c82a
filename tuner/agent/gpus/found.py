"""A GPU as its driver lists it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Vendor(StrEnum):
    NVIDIA = "nvidia"
    AMD = "amd"


@dataclass(frozen=True, kw_only=True)
class FoundGpu:
    """A GPU or MIG slice as the driver lists it."""

    name: str  # "gpu:0", "gpu:0/mig:1"
    uuid: str
    index: int  # of the physical GPU
    product: str = ""
    memory_bytes: int | None = None  # None: not known
    vendor: Vendor = Vendor.NVIDIA

    @property
    def is_slice(self) -> bool:
        return "/" in self.name


def select_visible(gpus: Sequence[FoundGpu], visible: str | None) -> list[FoundGpu]:
    """Apply a list such as CUDA_VISIBLE_DEVICES: indices, or UUIDs and their unique beginnings.

    As in the drivers, everything from the first unknown entry on is invisible.
    """
    if visible is None:
        return list(gpus)
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
    return bool(entry) and gpu.uuid.lower().startswith(entry.lower())


def select_of_selected(gpus: Sequence[FoundGpu], visible: str | None) -> list[FoundGpu]:
    """Apply a list whose indices count the GPUs that an earlier list has left."""
    if visible is None:
        return list(gpus)
    chosen: list[FoundGpu] = []
    for entry in (part.strip() for part in visible.split(",")):
        if not entry.isdigit() or int(entry) >= len(gpus):
            break
        chosen += [gpus[int(entry)]] if gpus[int(entry)] not in chosen else []
    return chosen
