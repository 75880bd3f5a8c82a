"""Which devices a machine has, and what their workers get to see."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tuner.agent.devices import Device, find_devices, list_devices
from tuner.agent.gpus.found import FoundGpu, select_visible
from tuner.agent.workers.process import build_places
from tuner.agent.workers.template import worker_environment
from tuner.cgroups import Cgroups
from tuner.errors import UsageError
from tuner.study.places import count_units

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


WHOLE = [
    FoundGpu(name=f"gpu:{index}", uuid=f"GPU-{index}", index=index, product="NVIDIA H200")
    for index in range(7)
]
Have = Callable[..., None]


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Have:
    """Give the machine 16 cores, these GPUs, and this value of CUDA_VISIBLE_DEVICES."""
    monkeypatch.setattr(Cgroups, "n_cores", lambda _self: 16)

    def have(found: list[FoundGpu], visible: str | None = None) -> None:
        monkeypatch.setattr("tuner.agent.devices._list_gpus", lambda: found)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    return have


def test_the_gpus_of_a_trial_form_one_place(gpus: Have) -> None:
    gpus(WHOLE)
    found = find_devices(None, 1, n_gpus=3, n_ranks=3)
    assert [device.name for device in found.devices] == ["gpu:0-2", "gpu:3-5"]
    assert found.notices == (
        "gpu:6 is left over, because each trial uses 3 GPUs (workers.gpus_per_trial)",
    )
    first = found.devices[0]
    assert first.environment == {"CUDA_VISIBLE_DEVICES": "GPU-0,GPU-1,GPU-2"}
    assert first.uuids == ("GPU-0", "GPU-1", "GPU-2")
    assert (count_units([first.name]), first.n_threads, first.product) == (3, 2, "NVIDIA H200")


def test_one_process_with_several_gpus_has_the_threads_of_its_place(gpus: Have) -> None:
    gpus(WHOLE[:4])
    devices = list_devices(None, 1, n_gpus=2, n_ranks=1)
    assert [(count_units([device.name]), device.n_threads) for device in devices] == [
        (2, 8),
        (2, 8),
    ]


def test_places_have_the_order_of_cuda_visible_devices(gpus: Have) -> None:
    gpus(WHOLE, "2,0,3,4,6,1")
    found = find_devices(None, 1, n_gpus=2, n_ranks=2)
    assert [device.name for device in found.devices] == ["gpu:2+0", "gpu:3-4", "gpu:6+1"]
    assert found.devices[0].uuids == ("GPU-2", "GPU-0")
    gpus(WHOLE, "2,0,3,5,6")
    (notice,) = find_devices(None, 1, n_gpus=3, n_ranks=3).notices
    assert notice.startswith("gpu:5-6 is left over")


def test_different_products_of_a_place_are_named(gpus: Have) -> None:
    gpus([WHOLE[0], replace(WHOLE[1], product="NVIDIA A100")])
    (device,) = list_devices(None, 1, n_gpus=2, n_ranks=2)
    assert device.product == "NVIDIA H200, NVIDIA A100"


@pytest.mark.parametrize(
    ("found", "n_gpus", "n_ranks", "sentence"),
    [
        (
            WHOLE[:2],
            4,
            4,
            "this machine has 2 visible GPUs and a trial needs 4 (workers.gpus_per_trial); trials "
            "over several machines are not supported",
        ),
        (
            WHOLE[:1],
            2,
            1,
            "this machine has 1 visible GPU and a trial needs 2 (workers.gpus_per_trial); trials "
            "over several machines are not supported",
        ),
        (
            GPUS,
            2,
            2,
            "gpu:1/mig:0 is a slice of a GPU, and a trial cannot use several slices "
            "(workers.gpus_per_trial): hide the slices with CUDA_VISIBLE_DEVICES",
        ),
        (
            WHOLE,
            1,
            2,
            "each of the 2 processes of a trial needs a GPU of its own: write `workers: "
            "{gpus_per_trial: 2}`, or hide the GPUs with CUDA_VISIBLE_DEVICES=",
        ),
    ],
)
def test_gpus_that_are_not_what_a_trial_needs_are_refused(
    found: list[FoundGpu], n_gpus: int, n_ranks: int, sentence: str, gpus: Have
) -> None:
    gpus(found)
    with pytest.raises(UsageError) as caught:
        find_devices(None, 1, n_gpus=n_gpus, n_ranks=n_ranks)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("n_workers", "n_ranks", "names", "n_threads", "left_over"),
    [
        (None, 2, [f"cpu:{i}-{i + 1}" for i in range(0, 16, 2)], 1, ""),
        (4, 2, ["cpu:0-1", "cpu:2-3"], 4, ""),
        (5, 2, ["cpu:0-1", "cpu:2-3"], 4, "cpu:4"),
        (8, 3, ["cpu:0-2", "cpu:3-5"], 2, "cpu:6-7"),
        (1, 2, ["cpu:0-1"], 8, ""),
        (None, 64, ["cpu:0-63"], 1, ""),
    ],
)
def test_each_process_of_a_trial_takes_a_share_of_the_cpu(
    n_workers: int | None,
    n_ranks: int,
    names: list[str],
    n_threads: int,
    left_over: str,
    gpus: Have,
) -> None:
    gpus([])
    found = find_devices(n_workers, 1, n_gpus=n_ranks, n_ranks=n_ranks)
    assert [device.name for device in found.devices] == names
    assert {device.n_threads for device in found.devices} == {n_threads}
    assert {count_units([device.name]) for device in found.devices} == {n_ranks}
    assert {device.uuids for device in found.devices} == {()}
    assert found.notices == (
        (
            f"{left_over} is left over, because each trial uses {n_ranks} shares of the CPU "
            "(workers.processes_per_trial)",
        )
        if left_over
        else ()
    )


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
