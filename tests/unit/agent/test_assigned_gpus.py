"""What NVML and rocm-smi list, and what of it an engine has assigned to this process."""

from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from tuner.agent.devices import find_devices
from tuner.agent.gpus import amd, nvidia
from tuner.agent.gpus.assignment import assigned_gpus, worker_visibility
from tuner.agent.gpus.found import FoundGpu, Vendor
from tuner.cgroups import Cgroups
from tuner.errors import CannotWork

GIB = 2**30
# The form of the output of ROCm 5 and 6 on machines with two Instinct cards; the order of the keys
# and the letter case differ between versions.
ROCM_SMI = """\
WARNING: AMD GPU device(s) is/are in a low-power state. Check power control/runtime_status
{"card1": {"Unique ID": "0x9c68f60abc8a7901", "Card series": "AMD INSTINCT MI250 (MCM) OAM AC MBA",
 "Card model": "0x0b0c", "Card vendor": "Advanced Micro Devices, Inc. [AMD/ATI]", "Card SKU":
 "D65209", "VRAM Total Memory (B)": "68702699520", "VRAM Total Used Memory (B)": "10960896"},
 "card0": {"Device Name": "AMD Instinct MI210", "Unique ID": "0x18F68E602B8A790", "Card Series":
 "Instinct MI210", "VRAM Total Memory (B)": "34351349760"},
 "card10": {"Unique ID": "N/A", "Card Series": "Radeon RX 7900 XTX"},
 "system": {"Driver version": "6.7.0"}}
"""
TWO = [FoundGpu(name=f"gpu:{i}", uuid=f"GPU-{'ab'[i]}", index=i) for i in range(2)]


def test_the_output_of_rocm_smi_gives_the_gpus_in_the_order_of_its_indices() -> None:
    found = amd.parse_rocm_smi(ROCM_SMI)
    assert [(gpu.name, gpu.uuid, gpu.product, gpu.memory_bytes) for gpu in found] == [
        ("gpu:0", "GPU-018f68e602b8a790", "Instinct MI210", 34_351_349_760),
        ("gpu:1", "GPU-9c68f60abc8a7901", "AMD INSTINCT MI250 (MCM) OAM AC MBA", 68_702_699_520),
        ("gpu:10", "10", "Radeon RX 7900 XTX", None),
    ]
    assert {gpu.vendor for gpu in found} == {Vendor.AMD}


@pytest.mark.parametrize("output", ["", "no GPU", "{", "[]", '{"card0": 7}', '{"system": {}}'])
def test_other_output_of_rocm_smi_gives_no_gpu(output: str) -> None:
    assert amd.parse_rocm_smi(output) == []


def test_a_machine_without_rocm_smi_has_no_gpu_of_amd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert amd.list_amd() == []


@pytest.mark.parametrize(
    ("environment", "names"),
    [
        ({}, ["gpu:0", "gpu:1", "gpu:10"]),
        ({"ROCR_VISIBLE_DEVICES": "1,0"}, ["gpu:1", "gpu:0"]),
        ({"ROCR_VISIBLE_DEVICES": "GPU-9C68F60ABC8A7901"}, ["gpu:1"]),
        ({"ROCR_VISIBLE_DEVICES": "1,0", "HIP_VISIBLE_DEVICES": "0"}, ["gpu:1"]),
        ({"HIP_VISIBLE_DEVICES": "2"}, ["gpu:10"]),
        ({"CUDA_VISIBLE_DEVICES": "1"}, ["gpu:1"]),
        ({"CUDA_VISIBLE_DEVICES": "1", "HIP_VISIBLE_DEVICES": "0"}, ["gpu:0"]),
        ({"HIP_VISIBLE_DEVICES": "-1"}, []),
        ({"CUDA_VISIBLE_DEVICES": ""}, []),
    ],
)
def test_rocms_variables_are_obeyed_as_rocm_does(
    environment: dict[str, str], names: list[str]
) -> None:
    found = assigned_gpus(amd.parse_rocm_smi(ROCM_SMI), environment)
    assert [gpu.name for gpu in found] == names


def test_a_worker_sees_its_gpus_alone() -> None:
    card0, card1, _ = amd.parse_rocm_smi(ROCM_SMI)
    assert worker_visibility([card1, card0]) == {
        "ROCR_VISIBLE_DEVICES": "GPU-9c68f60abc8a7901,GPU-018f68e602b8a790",
        "HIP_VISIBLE_DEVICES": "0,1",
        "CUDA_VISIBLE_DEVICES": "0,1",
    }
    assert worker_visibility(TWO) == {"CUDA_VISIBLE_DEVICES": "GPU-a,GPU-b"}


@pytest.mark.parametrize(
    "environment",
    [
        {"CUDA_VISIBLE_DEVICES": "0"},
        {"CUDA_VISIBLE_DEVICES": "MIG-x"},
        {"ROCR_VISIBLE_DEVICES": "0"},
        {"SLURM_JOB_GPUS": "0,1"},
        {"SLURM_STEP_GPUS": "3"},
        {"SLURM_GPUS_ON_NODE": "2"},
        {"TUNER_GPUS": "1"},
    ],
)
def test_gpus_that_were_assigned_and_are_not_there_are_exit_code_7(
    environment: dict[str, str],
) -> None:
    ((name, value),) = environment.items()
    with pytest.raises(CannotWork, match=rf"assigned GPUs \({name}={value}\) and can use 0") as got:
        assigned_gpus([], environment)
    assert got.value.exit_code == 7


def test_fewer_gpus_than_the_launcher_asked_for_are_refused() -> None:
    with pytest.raises(CannotWork, match=r"\(TUNER_GPUS=4\) and can use 2; the drivers show 2 "):
        assigned_gpus(TWO, {"TUNER_GPUS": "4"})
    assert assigned_gpus(TWO, {"TUNER_GPUS": "2", "SLURM_JOB_GPUS": "0,1"}) == TWO


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"CUDA_VISIBLE_DEVICES": ""},
        {"CUDA_VISIBLE_DEVICES": "-1", "SLURM_JOB_GPUS": "0"},  # hidden by the user
        {"CUDA_VISIBLE_DEVICES": "NoDevFiles"},
        {"SLURM_GPUS_ON_NODE": "0", "TUNER_GPUS": "0"},
        {"TUNER_GPUS": "many"},
    ],
)
def test_without_an_assignment_the_cpu_trains(environment: dict[str, str]) -> None:
    assert assigned_gpus([], environment) == []


def test_slurms_cores_are_obeyed_where_its_cgroups_do_not_limit_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tuner.agent.devices._list_gpus", list)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(Cgroups, "n_cores", lambda _self: 8)
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "3")
    assert [device.name for device in find_devices(None, 1).devices] == ["cpu:0", "cpu:1", "cpu:2"]
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "64")
    assert len(find_devices(None, 1).devices) == 8


class FakeNvml:
    """A driver with a whole GPU and one that is divided into two slices."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in dir(self):
            if name.startswith("nvml"):
                monkeypatch.setattr(pynvml, name, getattr(self, name))

    def nvmlInit(self) -> None: ...

    def nvmlShutdown(self) -> None: ...

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:
        return f"GPU-{index}"

    def nvmlDeviceGetMigMode(self, handle: str) -> tuple[int, int]:
        if handle == "GPU-0":
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return pynvml.NVML_DEVICE_MIG_ENABLE, pynvml.NVML_DEVICE_MIG_ENABLE

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: str) -> int:
        return 4

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: str, slot: int) -> str:
        if slot % 2:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return f"MIG-{slot}"

    def nvmlDeviceGetUUID(self, handle: str) -> str:
        return handle

    def nvmlDeviceGetName(self, handle: str) -> str:
        return "NVIDIA H200" + (" MIG 1g.18gb" if handle.startswith("MIG") else "")

    def nvmlDeviceGetMemoryInfo(self, handle: str) -> Any:
        return SimpleNamespace(total=(18 if handle.startswith("MIG") else 141) * GIB)


def test_slices_are_devices_with_their_own_uuid_and_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    FakeNvml(monkeypatch)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert [gpu.name for gpu in nvidia.list_nvidia()] == ["gpu:0", "gpu:1/mig:0", "gpu:1/mig:2"]
    devices = find_devices(None, 1).devices
    assert [(d.name, d.environment["CUDA_VISIBLE_DEVICES"], d.memory_bytes) for d in devices] == [
        ("gpu:0", "GPU-0", 141 * GIB),
        ("gpu:1/mig:0", "MIG-0", 18 * GIB),
        ("gpu:1/mig:2", "MIG-2", 18 * GIB),
    ]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-2")
    (only,) = find_devices(None, 1).devices
    assert (only.name, only.uuids) == ("gpu:1/mig:2", ("MIG-2",))
