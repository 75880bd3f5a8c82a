"""This machine's devices, found without torch and without initializing CUDA."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tuner.agent.gpus.amd import list_amd
from tuner.agent.gpus.assignment import assigned_gpus, worker_visibility
from tuner.agent.gpus.found import FoundGpu, Vendor
from tuner.agent.gpus.nvidia import list_nvidia
from tuner.cgroups import Cgroups
from tuner.errors import UsageError
from tuner.study.places import name_place

_RANKS = "workers.processes_per_trial"


@dataclass(frozen=True, kw_only=True)
class Device:
    """A GPU, a MIG slice, a share of the CPU, or several GPUs or shares that a trial uses."""

    name: str  # "gpu:0", "gpu:0/mig:1", "cpu:3", "gpu:0-3"; see `study/places.py`
    torch_device: str  # name within the worker, which sees no other device
    environment: Mapping[str, str] = field(default_factory=dict)
    n_threads: int = 1  # for each process of each of its workers
    product: str = ""  # of a GPU: "NVIDIA H200"
    uuids: tuple[str, ...] = ()  # of its GPUs; empty on the CPU
    memory_bytes: int | None = None  # of the smallest of its GPUs, or of the machine
    has_nvml: bool = False  # whether NVML can measure its GPUs


@dataclass(frozen=True, kw_only=True)
class FoundDevices:
    """The devices for trials, and notices of those that are too few for one more trial."""

    devices: Sequence[Device]
    notices: tuple[str, ...] = ()


def list_devices(
    n_cpu_workers: int | None,
    processes: int,
    cgroups: Cgroups | None = None,
    *,
    n_gpus: int = 1,
    n_ranks: int = 1,
) -> list[Device]:
    """Return the devices of `find_devices` alone."""
    found = find_devices(n_cpu_workers, processes, cgroups, n_gpus=n_gpus, n_ranks=n_ranks)
    return list(found.devices)


def find_devices(
    n_cpu_workers: int | None,
    processes: int,
    cgroups: Cgroups | None = None,
    *,
    n_gpus: int = 1,
    n_ranks: int = 1,
) -> FoundDevices:
    """Find the visible GPUs or MIG slices, `n_gpus` for each trial; without any, shares of the CPU.

    `n_cpu_workers` (default: one per core that this process may use) counts the shares, of which a
    trial uses one for each of its `n_ranks` processes; `processes` workers run on each device.
    Raises `UsageError` when CPU workers are requested on a machine with GPUs, and when no trial can
    use its GPUs; `CannotWork` when GPUs were assigned to this process and none is visible.
    """
    n_cores = min((cgroups or Cgroups()).n_cores(), _assigned_cores())
    gpus = assigned_gpus(_list_gpus(), os.environ)
    if not gpus:
        return _cpu_places(n_cpu_workers or n_cores, processes, n_cores, n_ranks)
    if n_cpu_workers is not None:
        raise UsageError(
            f"--workers counts CPU workers, and this machine has {len(gpus)} visible GPUs; "
            "leave it out (workers.processes sets the workers per GPU), or hide the GPUs with "
            "CUDA_VISIBLE_DEVICES="
        )
    if fault := _gpus_fault(gpus, n_gpus, n_ranks):
        raise UsageError(fault)
    n_places = len(gpus) // n_gpus
    n_threads = max(1, n_cores // (n_places * processes * n_ranks))
    groups = [gpus[place * n_gpus : (place + 1) * n_gpus] for place in range(n_places)]
    left_over = gpus[n_places * n_gpus :]
    return FoundDevices(
        devices=[_gpu_place(group, n_threads) for group in groups],
        notices=_left_over(_name_gpus(left_over), f"{n_gpus} GPUs (workers.gpus_per_trial)")
        if left_over
        else (),
    )


def _assigned_cores() -> int:
    """Return the cores that Slurm has assigned: without its cgroups nothing else limits them."""
    given = os.environ.get("SLURM_CPUS_PER_TASK", "")
    return max(1, int(given)) if given.isdecimal() and len(given) < 6 else 10**5


def _gpus_fault(gpus: Sequence[FoundGpu], n_gpus: int, n_ranks: int) -> str:
    """Return why no trial of this kind can train on these GPUs, or nothing."""
    if n_gpus == 1 < n_ranks:
        return (
            f"each of the {n_ranks} processes of a trial needs a GPU of its own: write "
            f"`workers: {{gpus_per_trial: {n_ranks}}}`, or hide the GPUs with CUDA_VISIBLE_DEVICES="
        )
    slices = [gpu.name for gpu in gpus if gpu.is_slice]
    if n_gpus > 1 and slices:
        return (
            f"{slices[0]} is a slice of a GPU, and a trial cannot use several slices "
            "(workers.gpus_per_trial): hide the slices with CUDA_VISIBLE_DEVICES"
        )
    if len(gpus) < n_gpus:
        noun = "GPU" if len(gpus) == 1 else "GPUs"
        return (
            f"this machine has {len(gpus)} visible {noun} and a trial needs {n_gpus} "
            "(workers.gpus_per_trial); trials over several machines are not supported"
        )
    return ""


def _gpu_place(gpus: Sequence[FoundGpu], n_threads: int) -> Device:
    return Device(
        name=_name_gpus(gpus),
        torch_device="cuda:0",
        environment=worker_visibility(gpus),
        n_threads=n_threads,
        product=", ".join(dict.fromkeys(gpu.product for gpu in gpus)),
        uuids=tuple(gpu.uuid for gpu in gpus),
        memory_bytes=min(
            (gpu.memory_bytes for gpu in gpus if gpu.memory_bytes is not None), default=None
        ),
        has_nvml=gpus[0].vendor is Vendor.NVIDIA,
    )


def _name_gpus(gpus: Sequence[FoundGpu]) -> str:
    return gpus[0].name if len(gpus) == 1 else name_place("gpu", [gpu.index for gpu in gpus])


def _cpu_places(n_shares: int, processes: int, n_cores: int, n_ranks: int) -> FoundDevices:
    """Build places of the CPU, at least one: its processes may be more than there are cores."""
    n_places = max(1, n_shares // n_ranks)
    n_threads = max(1, n_cores // (n_places * processes * n_ranks))
    left_over = range(n_places * n_ranks, n_shares)
    return FoundDevices(
        devices=[
            Device(
                name=name_place("cpu", range(place * n_ranks, (place + 1) * n_ranks)),
                torch_device="cpu",
                environment={
                    "CUDA_VISIBLE_DEVICES": "",
                    "HIP_VISIBLE_DEVICES": "",
                },
                n_threads=n_threads,
                memory_bytes=_machine_bytes(),
            )
            for place in range(n_places)
        ],
        notices=_left_over(name_place("cpu", left_over), f"{n_ranks} shares of the CPU ({_RANKS})")
        if left_over
        else (),
    )


def max_memory(devices: Sequence[Device]) -> int | None:
    """Return the memory of the largest device; None if it is not known."""
    known = [device.memory_bytes for device in devices if device.memory_bytes is not None]
    return max(known, default=None)


def _machine_bytes() -> int | None:
    try:
        return Cgroups().memory().total
    except (OSError, ValueError):
        return None


def _left_over(name: str, used: str) -> tuple[str]:
    return (f"{name} is left over, because each trial uses {used}",)


def _list_gpus() -> list[FoundGpu]:
    return list_nvidia() or list_amd()
