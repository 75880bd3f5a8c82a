"""The GPUs that the user or an engine has assigned to this process, by its environment."""

from collections.abc import Mapping, Sequence

from tuner.agent.gpus.found import FoundGpu, Vendor, select_of_selected, select_visible
from tuner.errors import CannotWork

# Values that hide all GPUs: users write -1, older versions of Slurm NoDevFiles.
_NONE = {"", "-1", "none", "void", "nodevfiles"}
_VISIBLE = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")
# Slurm's assignment of a job or a step, and the number of GPUs that a launcher asked for.
_ASKED = ("SLURM_STEP_GPUS", "SLURM_JOB_GPUS", "SLURM_GPUS_ON_NODE", "TUNER_GPUS")


def assigned_gpus(gpus: Sequence[FoundGpu], environment: Mapping[str, str]) -> list[FoundGpu]:
    """Return the GPUs that this process may use.

    Raises `CannotWork` if GPUs were assigned and none of them is visible here: a trial must not
    train on the CPU unnoticed.
    """
    nvidia = [gpu for gpu in gpus if gpu.vendor is Vendor.NVIDIA]
    amd = [gpu for gpu in gpus if gpu.vendor is Vendor.AMD]
    visible = [
        *select_visible(nvidia, environment.get("CUDA_VISIBLE_DEVICES")),
        *_visible_amd(amd, environment),
    ]
    n_asked = _number(environment.get("TUNER_GPUS", ""))
    if visible and (n_asked is None or len(visible) >= n_asked):
        return visible
    asked = [name for name in (*_VISIBLE, *_ASKED) if _asks(name, environment)]
    if not asked or (not visible and _hides(environment)):
        return visible
    given = ", ".join(f"{name}={environment[name][:80]}" for name in asked)
    n_there = f"{len(gpus)} GPU{'' if len(gpus) == 1 else 's'}"
    raise CannotWork(
        f"this process was assigned GPUs ({given}) and can use {len(visible)}; the drivers show "
        f"{n_there}; check the assignment with nvidia-smi or rocm-smi, or start without it to "
        "train on the CPU"
    )


def _visible_amd(gpus: Sequence[FoundGpu], environment: Mapping[str, str]) -> list[FoundGpu]:
    """Apply the variables as ROCm does: the list of the runtime, then that of HIP, or CUDA's."""
    left = select_visible(gpus, environment.get("ROCR_VISIBLE_DEVICES"))
    of_hip = environment.get("HIP_VISIBLE_DEVICES", environment.get("CUDA_VISIBLE_DEVICES"))
    return select_of_selected(left, of_hip)


def _asks(name: str, environment: Mapping[str, str]) -> bool:
    value = environment.get(name, "").strip().lower()
    if name in ("SLURM_GPUS_ON_NODE", "TUNER_GPUS"):
        return (_number(value) or 0) > 0
    return value not in _NONE


def _hides(environment: Mapping[str, str]) -> bool:
    """Return whether a user has hidden the GPUs on purpose, also those of a job."""
    given = [environment[name].strip().lower() for name in _VISIBLE if name in environment]
    return bool(given) and all(value in ("", "-1") for value in given)


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else None


def worker_visibility(gpus: Sequence[FoundGpu]) -> dict[str, str]:
    """Return the variables with which a worker sees these GPUs alone, all of one vendor."""
    uuids = ",".join(gpu.uuid for gpu in gpus)
    if gpus[0].vendor is Vendor.NVIDIA:
        return {"CUDA_VISIBLE_DEVICES": uuids}
    indices = ",".join(str(index) for index in range(len(gpus)))  # of those that ROCr leaves
    return {
        "ROCR_VISIBLE_DEVICES": uuids,
        "HIP_VISIBLE_DEVICES": indices,
        "CUDA_VISIBLE_DEVICES": indices,
    }
