"""Limits of cgroups, versions 1 and 2, from made-up folders."""

import os
from pathlib import Path

import pytest

from tuner.agent.devices import list_devices
from tuner.cgroups import Cgroups

GIB = 2**30
NO_LIMIT = 9223372036854771712  # version 1 says no limit so
MEMINFO = f"MemTotal: {64 * GIB // 1024} kB\nMemFree: 1 kB\nMemAvailable: {32 * GIB // 1024} kB\n"


class Fake:
    """A machine of 64 GiB, half of it free, and our place in its cgroups."""

    def __init__(self, folder: Path, place: str) -> None:
        self.root = folder / "cgroup"
        self.root.mkdir()
        (folder / "proc" / "self").mkdir(parents=True)
        (folder / "proc" / "meminfo").write_text(MEMINFO)
        (folder / "proc" / "self" / "cgroup").write_text(place)
        self.cgroups = Cgroups(self.root, folder / "proc")

    def write(self, cgroup: str, **files: object) -> None:
        folder = self.root / cgroup
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name.replace("__", ".")).write_text(f"{content}\n")

    def memory(self) -> tuple[float, float]:
        found = self.cgroups.memory()
        return found.total / GIB, found.free / GIB


@pytest.fixture(autouse=True)
def _eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)))


def test_without_a_limit_the_machine_counts(tmp_path: Path) -> None:
    fake = Fake(tmp_path, "0::/user.slice\n")
    fake.write("user.slice", memory__max="max", cpu__max="max 100000", memory__current=GIB)
    assert fake.memory() == (64, 32)
    assert fake.cgroups.n_cores() == 8


def test_a_container_sees_its_own_cgroup_as_the_root(tmp_path: Path) -> None:
    fake = Fake(tmp_path, "0::/\n")
    fake.write(
        ".",
        memory__max=4 * GIB,
        memory__current=3 * GIB,
        memory__stat=f"anon {GIB}\ninactive_file {GIB}",
        cpu__max="250000 100000",
    )
    assert fake.memory() == (4, 2)  # cached files can be had
    assert fake.cgroups.n_cores() == 2


def test_a_path_of_the_machine_that_a_container_cannot_see_is_its_root(tmp_path: Path) -> None:
    fake = Fake(tmp_path, "0::/system.slice/docker-3f.scope\n")
    fake.write(".", memory__max=2 * GIB, memory__current=0, cpu__max="100000 100000")
    assert fake.memory() == (2, 2)
    assert fake.cgroups.n_cores() == 1


def test_each_level_limits_those_below(tmp_path: Path) -> None:
    fake = Fake(tmp_path, "0::/slurm/job_7/step_0\n")
    fake.write("slurm/job_7/step_0", memory__max="max", memory__current=GIB, cpu__max="max 100000")
    fake.write("slurm/job_7", memory__max=8 * GIB, memory__high=6 * GIB, memory__current=GIB)
    fake.write("slurm", memory__max=48 * GIB, memory__current=40 * GIB, cpu__max="350000 100000")
    assert fake.memory() == (6, 5)
    assert fake.cgroups.n_cores() == 3


def test_a_share_of_a_core_is_one_worker(tmp_path: Path) -> None:
    fake = Fake(tmp_path, "0::/\n")
    fake.write(".", cpu__max="50000 100000")
    assert fake.cgroups.n_cores() == 1


@pytest.mark.parametrize("is_inside", [True, False])
def test_version_1_limits_memory_and_cores_in_folders_of_their_own(
    tmp_path: Path, is_inside: bool
) -> None:
    place = "12:cpu,cpuacct:/docker/3f\n5:memory:/docker/3f\n1:name=systemd:/docker/3f\n0::/x\n"
    fake = Fake(tmp_path, place)
    below = "" if is_inside else "/docker/3f"
    fake.write(f"cpu,cpuacct{below}", cpu__cfs_quota_us=300000, cpu__cfs_period_us=100000)
    fake.write(
        f"memory{below}",
        memory__limit_in_bytes=4 * GIB,
        memory__usage_in_bytes=2 * GIB,
        memory__stat=f"inactive_file 7\ntotal_inactive_file {GIB}",
    )
    assert fake.memory() == (4, 3)
    assert fake.cgroups.n_cores() == 3


def test_version_1_without_a_limit(tmp_path: Path) -> None:
    fake = Fake(tmp_path, "4:memory:/\n3:cpu:/\n")
    fake.write("memory", memory__limit_in_bytes=NO_LIMIT, memory__usage_in_bytes=40 * GIB)
    fake.write("cpu", cpu__cfs_quota_us=-1, cpu__cfs_period_us=100000)
    assert fake.memory() == (64, 32)
    assert fake.cgroups.n_cores() == 8


@pytest.mark.parametrize("place", ["", "nonsense\n", "0::/../../etc\n"])
def test_what_cannot_be_read_limits_nothing(tmp_path: Path, place: str) -> None:
    fake = Fake(tmp_path, place)
    assert fake.memory() == (64, 32)
    assert fake.cgroups.n_cores() == 8


def test_more_memory_in_use_than_allowed_leaves_none(tmp_path: Path) -> None:
    fake = Fake(tmp_path, "0::/\n")
    fake.write(".", memory__max=GIB, memory__current=2 * GIB)
    assert fake.memory() == (1, 0)


def test_a_quota_counts_the_workers_and_their_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    fake = Fake(tmp_path, "0::/\n")
    fake.write(".", cpu__max="400000 100000")
    assert len(list_devices(None, 1, fake.cgroups)) == 4
    (one,) = list_devices(1, 1, fake.cgroups)
    assert one.n_threads == 4
