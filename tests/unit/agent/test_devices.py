"""Which devices a machine has, and what their workers get to see."""

import pytest

from tuner.agent.devices import Device, FoundGpu, list_devices, select_visible
from tuner.agent.workers.process import build_places
from tuner.agent.workers.template import worker_environment
from tuner.cgroups import Cgroups

GPUS = [
    FoundGpu(name="gpu:0", uuid="GPU-aaaa", index=0),
    FoundGpu(name="gpu:1/mig:0", uuid="MIG-bbbb", index=1),
    FoundGpu(name="gpu:1/mig:1", uuid="MIG-cccc", index=1),
    FoundGpu(name="gpu:2", uuid="GPU-dddd", index=2),
]


@pytest.mark.parametrize(
    ("visible", "names"),
    [
        (None, ["gpu:0", "gpu:1/mig:0", "gpu:1/mig:1", "gpu:2"]),
        ("", []),
        ("-1", []),
        ("2,0", ["gpu:2", "gpu:0"]),
        ("1", ["gpu:1/mig:0", "gpu:1/mig:1"]),
        ("MIG-cccc", ["gpu:1/mig:1"]),
        ("GPU-d", ["gpu:2"]),
        ("0,9,2", ["gpu:0"]),
        ("0,0", ["gpu:0"]),
    ],
)
def test_cuda_visible_devices_is_obeyed_as_the_driver_does(
    visible: str | None, names: list[str]
) -> None:
    assert [gpu.name for gpu in select_visible(GPUS, visible)] == names


def test_without_gpus_the_cpu_is_shared_and_its_threads_divided(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tuner.agent.devices._list_gpus", list)
    monkeypatch.setattr(Cgroups, "n_cores", lambda _self: 8)
    assert [device.n_threads for device in list_devices(None, 1)] == [1] * 8
    assert [device.n_threads for device in list_devices(2, 1)] == [4, 4]
    assert [device.n_threads for device in list_devices(2, 2)] == [2, 2]
    assert [device.n_threads for device in list_devices(16, 1)] == [1] * 16


def test_each_gpu_gets_a_worker_that_sees_only_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuner.agent.devices._list_gpus", lambda: GPUS)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    devices = list_devices(None, 1)
    assert [device.environment["CUDA_VISIBLE_DEVICES"] for device in devices] == [
        gpu.uuid for gpu in GPUS
    ]
    assert {device.torch_device for device in devices} == {"cuda:0"}


def test_several_processes_on_a_device_are_several_places() -> None:
    device = Device(name="gpu:0", torch_device="cuda:0")
    assert [place.name for place in build_places([device], 2)] == ["gpu:0#0", "gpu:0#1"]
    assert [place.name for place in build_places([device], 1)] == ["gpu:0"]


def test_a_worker_sees_no_database_credential() -> None:
    environment = {
        "PATH": "/bin",
        "TUNER_STORAGE": "postgresql://u:secret@h/d",
        "TUNER_HOME": "/x",
        "PGPASSWORD": "secret",
        "PGPASSFILE": "/x",
        "PGSERVICE": "x",
    }
    assert worker_environment(environment, n_threads=3) == {
        "PATH": "/bin",
        "OMP_WAIT_POLICY": "PASSIVE",
        "OMP_NUM_THREADS": "3",
        "MKL_NUM_THREADS": "3",
    }
