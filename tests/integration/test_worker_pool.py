"""The pool of real worker processes: what the listener may read, and who takes whose place."""

import os
import select
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tuner.agent.devices import Device
from tuner.agent.events import TemplateAnswered, WorkerGone, WorkerSaid
from tuner.agent.workers import template as templates
from tuner.agent.workers.pool import WorkerPool
from tuner.agent.workers.process import Place, Worker
from tuner.agent.workers.template import MARKER
from tuner.errors import RunFailed
from tuner.messages import Ready, Setup
from tuner.processes import children_of, environment_of, exists
from tuner.study.goal import Goal
from tuner.study.trial import Direction

pytestmark = pytest.mark.usefixtures("light")

CPU = Device(name="cpu:0", torch_device="cpu")


def _has_huge_pages() -> bool:
    version = os.uname().release.split(".")[:2]
    is_new = version[0].isdigit() and version[1].isdigit() and tuple(map(int, version)) >= (6, 1)
    return is_new and Path("/sys/kernel/mm/transparent_hugepage").exists()


def _huge_kilobytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("AnonHugePages:"))


@pytest.fixture
def pool() -> Iterator[WorkerPool]:
    pool = WorkerPool([Place(name="cpu:0", device=CPU)], kind="function", has_spare=True)
    yield pool
    pool.close()


def test_the_spare_takes_the_place_of_a_worker_that_has_ended(pool: WorkerPool) -> None:
    (first,) = pool.wait_for_start().values()
    spare = spare_of(pool)
    assert spare.process.poll() is None
    pool.kill(first.pid)
    event: Any = pool.inbox.get(timeout=30)
    assert isinstance(event, WorkerGone)
    assert list(pool.replace(first.pid)) == [spare], "at once: it has started"
    assert list(pool.workers) == [spare.pid]
    assert spare_of(pool) is not spare


def test_a_spare_that_has_died_is_passed_over(pool: WorkerPool) -> None:
    (first,) = pool.wait_for_start().values()
    spare = spare_of(pool)
    spare.end()
    assert spare.process.wait(30) is not None
    pool.kill(first.pid)
    first.ended.wait(30)
    worker = replaced(pool, first.pid)
    assert worker.pid not in (first.pid, spare.pid)
    assert worker.process.poll() is None


def test_the_main_loop_does_not_wait_for_a_template(pool: WorkerPool) -> None:
    (first,) = pool.wait_for_start().values()
    wait_for_worker(first)
    os.kill(pool._template.pid, signal.SIGSTOP)
    try:
        pool.kill(first.pid)
        assert first.ended.wait(30)
        assert not pool.replace(first.pid)
        assert not pool.workers
        pool.check_starts(time.monotonic())
        with pytest.raises(RunFailed, match="no worker has started within 300 s"):
            pool.check_starts(time.monotonic() + 301)
    finally:
        os.kill(pool._template.pid, signal.SIGCONT)
    while not isinstance(pool.inbox.get(timeout=30), TemplateAnswered):
        pass
    (second,) = pool.admit()
    assert list(pool.workers) == [second.pid]


def test_a_worker_that_starts_during_a_rest_ends_and_is_replaced_after_it(
    pool: WorkerPool,
) -> None:
    (first,) = pool.wait_for_start().values()
    wait_for_worker(first)
    os.kill(pool._template.pid, signal.SIGSTOP)
    try:
        pool.kill(first.pid)
        assert first.ended.wait(30)
        pool.replace(first.pid)
        pool.rest()
    finally:
        os.kill(pool._template.pid, signal.SIGCONT)
    while not isinstance(pool.inbox.get(timeout=30), TemplateAnswered):
        pass
    assert not pool.admit()
    (second,) = pool.workers.values()
    assert second.ended.wait(30)
    pool.wake()
    while not isinstance(pool.inbox.get(timeout=30), TemplateAnswered):
        pass
    (third,) = pool.admit()
    assert third.process.poll() is None


def test_places_that_rest_have_no_worker_until_they_wake(tmp_path: Path) -> None:
    pool = WorkerPool(
        [Place(name=name, device=replace(CPU, name=name)) for name in ("cpu:0", "cpu:1")],
        kind="function",
    )
    try:
        first, second = pool.wait_for_start().values()
        pool.rest_places({"cpu:0"})
        assert first.ended.wait(30)
        assert not pool.replace(first.pid), "as for a worker that ends by itself"
        assert second.process.poll() is None
        pool.rest()
        assert second.ended.wait(30)
        pool.wake()
        wait_for_workers(pool, "cpu:1")
        pool.wake_places({"cpu:0"})
        wait_for_workers(pool, "cpu:0")
    finally:
        pool.close()


def wait_for_workers(pool: WorkerPool, place: str) -> None:
    """A living worker in this place."""
    until = time.monotonic() + 60
    while not any(w.place.name == place and not w.ended.is_set() for w in pool.workers.values()):
        assert time.monotonic() < until, pool.workers
        pool.admit()
        time.sleep(0.01)


@contextmanager
def a_pair(folder: Path, devices: Sequence[Device]) -> Iterator[tuple[WorkerPool, Worker, Worker]]:
    """Yield a pool with two workers that are ready, the second of them, and the spare."""
    places = [Place(name=device.name, device=device) for device in devices]
    pool = WorkerPool(places, kind="function", has_spare=True)
    try:
        pool.set_up(a_setup(folder))
        first, second = pool.workers.values()
        wait_for_ready(pool, first.pid, second.pid)
        yield pool, second, spare_of(pool)
    finally:
        pool.close()


def test_a_spare_is_ready_before_it_has_a_place(tmp_path: Path) -> None:
    devices = [replace(CPU, name=name) for name in ("cpu:0", "cpu:1")]
    with a_pair(tmp_path, devices) as (pool, second, spare):
        select.select([spare.read_fd], [], [], 30)
        assert b"Ready" in os.read(spare.read_fd, 1000)
        pool.kill(second.pid)
        assert second.ended.wait(30)
        assert list(pool.replace(second.pid)) == [spare]
        assert spare.place.name == "cpu:1"


def test_a_spare_for_different_devices_gets_its_setup_with_its_place(tmp_path: Path) -> None:
    other = replace(CPU, name="gpu:1", environment={"CUDA_VISIBLE_DEVICES": "GPU-1"})
    with a_pair(tmp_path, [CPU, other]) as (pool, second, spare):
        assert not spare.is_set_up
        pool.kill(second.pid)
        assert second.ended.wait(30)
        assert list(pool.replace(second.pid)) == [spare]
        assert spare.is_set_up
        wait_for_ready(pool, spare.pid)


class OneBatch:
    """A selector that tells of a worker's log after the end of its pipe, in the same batch."""

    def __init__(self, real: Any, batch: list[Any]) -> None:
        self._real = real
        self._batch = batch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def select(self) -> Iterator[Any]:
        batch, self._batch = self._batch, []
        return iter(batch) if batch else iter(self._real.select())


def test_nothing_is_read_from_a_worker_that_has_just_ended(pool: WorkerPool) -> None:
    """Its descriptors may be another's by then: reading a pipe that blocks made the agent deaf."""
    (first,) = pool.wait_for_start().values()
    deadline = time.monotonic() + 30
    while first.read_fd not in pool._listener._selector.get_map() and time.monotonic() < deadline:
        time.sleep(0.01)
    read_key, log_key = (
        pool._listener._selector.get_key(descriptor) for descriptor in (first.read_fd, first.log_fd)
    )

    def batch() -> Iterator[Any]:
        pool.kill(first.pid)
        first.process.wait(30)
        yield read_key, 1
        # What the main thread does once it is ended: its log's number is a blocking pipe's now.
        assert first.ended.is_set()
        blocking, unused = os.pipe()
        os.dup2(blocking, first.log_fd)
        yield log_key, 1
        os.close(blocking)
        os.close(unused)

    real = pool._listener._selector
    pool._listener._selector = OneBatch(real, [])  # type: ignore[assignment]
    pool._listener._selector._batch = batch()  # type: ignore[attr-defined]
    pool._listener._wake()
    assert isinstance(pool.inbox.get(timeout=30), WorkerGone)
    pool.kill(replaced(pool, first.pid).pid)
    assert isinstance(pool.inbox.get(timeout=30), WorkerGone), "the listener hears on"


def test_a_process_that_a_worker_leaves_behind_does_not_hide_its_end(pool: WorkerPool) -> None:
    """A forked child holds the message pipe open: only the exit of the worker itself counts."""
    (first,) = pool.wait_for_start().values()
    wait_for_worker(first)
    trains = first.training_pid
    their_end = os.open(f"/proc/{trains}/fd/{_write_fd(trains)}", os.O_WRONLY)
    try:
        os.kill(trains, signal.SIGKILL)
        event: Any = pool.inbox.get(timeout=10)
        assert isinstance(event, WorkerGone)
        assert (event.worker, event.exit_code) == (first.pid, -signal.SIGKILL)
    finally:
        os.close(their_end)


def test_a_kernel_that_watches_no_process_leaves_the_end_of_the_pipe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refusing = (
        "import os, sys\n"
        "def refuse(pid, flags=0): raise OSError(38, 'no such call')\n"
        "os.pidfd_open = refuse\n"
        "from tuner.worker.template import main\n"
        "sys.exit(main(['--kind', sys.argv[1]], {}))\n"
    )
    monkeypatch.setattr(templates, "TEMPLATE", (sys.executable, "-c", refusing))
    pool = WorkerPool([Place(name="cpu:0", device=CPU)], kind="function")
    try:
        (worker,) = pool.wait_for_start().values()
        pool.kill(worker.pid)
        event: Any = pool.inbox.get(timeout=30)
        assert isinstance(event, WorkerGone)
        assert event.exit_code < 0
        assert replaced(pool, worker.pid).process.poll() is None
    finally:
        pool.close()


def test_workers_end_with_their_template_and_another_one_forks_the_next(pool: WorkerPool) -> None:
    (first,) = pool.wait_for_start().values()
    wait_for_worker(first)
    spare = spare_of(pool)
    below = [first.pid, first.training_pid, spare.pid, spare.training_pid]
    os.kill(pool._template.pid, signal.SIGKILL)
    event: Any = pool.inbox.get(timeout=30)
    assert isinstance(event, WorkerGone)
    assert (event.worker, event.exit_code) == (first.pid, -signal.SIGKILL)
    assert not exists(first.training_pid), "gone only with everything below it"
    second = replaced(pool, first.pid)
    assert second.process.poll() is None
    deadline = time.monotonic() + 30
    while any(map(exists, below)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(map(exists, below))
    assert environment_of(second.pid)[MARKER] == pool._marker


def test_a_template_that_is_killed_before_its_workers_start_is_replaced_once() -> None:
    pool = WorkerPool([Place(name=f"cpu:{n}", device=CPU) for n in range(3)], kind="function")
    try:
        first = pool._template
        os.kill(first.pid, signal.SIGKILL)
        workers = list(pool.wait_for_start().values())
        assert [worker.place.name for worker in workers] == ["cpu:0", "cpu:1", "cpu:2"]
        assert {worker.process.template for worker in workers} == {pool._template} != {first}
        assert [worker.process.poll() for worker in workers] == [None] * 3
    finally:
        pool.close()


def test_a_machine_without_room_for_a_process_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    refusing = (
        "import os, sys\n"
        "def refuse(): raise BlockingIOError(11, 'Resource temporarily unavailable')\n"
        "os.fork = refuse\n"
        "from tuner.worker.template import main\n"
        "sys.exit(main(['--kind', sys.argv[1]], {}))\n"
    )
    monkeypatch.setattr(templates, "TEMPLATE", (sys.executable, "-c", refusing))
    pool = WorkerPool([Place(name="cpu:0", device=CPU)], kind="function")
    try:
        with pytest.raises(RunFailed) as error:
            assert pool.wait_for_start()
        assert str(error.value) == (
            "this machine starts no more processes: [Errno 11] Resource temporarily unavailable"
        )
        assert exists(pool._template.pid)
    finally:
        pool.close()


def test_a_template_that_cannot_start_ends_the_run_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = (sys.executable, "-c", "import sys; sys.exit('no room for torch')")
    monkeypatch.setattr(templates, "TEMPLATE", broken)
    pool = WorkerPool([Place(name="cpu:0", device=CPU)], kind="function", has_spare=True)
    try:
        with pytest.raises(RunFailed) as error:
            assert pool.wait_for_start()
        assert str(error.value) == (
            "workers do not start on this machine; the process that starts them ended with exit "
            "code 1: no room for torch"
        )
    finally:
        pool.close()


def test_the_template_has_one_thread_and_a_worker_none_of_its_descriptors(
    pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(os.listdir(f"/proc/{pool._template.pid}/task")) == 1
    (first,) = pool.wait_for_start().values()
    wait_for_worker(first)
    _write_fd(first.training_pid)  # its streams are in place
    # The reaper keeps the socket on which it reports the end.
    for pid, n_sockets in ((first.pid, 1), (first.training_pid, 0)):
        links = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()]
        assert len([link for link in links if link.startswith("socket:")]) == n_sockets
        assert not [link for link in links if "pidfd" in link or "eventpoll" in link]


@pytest.mark.skipif(not _has_huge_pages(), reason="the kernel is older than 6.1")
def test_the_template_of_short_trials_has_huge_pages(pool: WorkerPool) -> None:
    assert pool.wait_for_start()
    deadline = time.monotonic() + 30
    while not _huge_kilobytes(pool._template.pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert _huge_kilobytes(pool._template.pid) > 0
    assert spare_of(pool).process.poll() is None


def replaced(pool: WorkerPool, pid: int) -> Worker:
    """The worker that replaces another one, once it has started."""
    workers = pool.replace(pid)
    while not workers:
        if isinstance(pool.inbox.get(timeout=30), TemplateAnswered):
            workers = pool.admit()
    (worker,) = workers
    return worker


def a_setup(folder: Path) -> Setup:
    return Setup(
        objective={"function": "train.py:train"},
        fixed={},
        goal=Goal(metric="val_loss", direction=Direction.MINIMIZE),
        data_folder="",
        data_seed=0,
        folder=str(folder),
        device="cpu",
        n_threads=1,
        spool=str(folder),
        save_every_seconds=60.0,
    )


def wait_for_ready(pool: WorkerPool, *pids: int) -> None:
    """Until these workers are ready for a trial."""
    missing = set(pids)
    while missing:
        event: Any = pool.inbox.get(timeout=30)
        if isinstance(event, WorkerSaid) and isinstance(event.message, Ready):
            missing.discard(event.worker)


def spare_of(pool: WorkerPool) -> Worker:
    """The spare, which is forked while a trial trains."""
    pool.wait_for_start()
    pool.fork_spare()
    assert pool._spare is not None
    return pool._spare


def wait_for_worker(worker: Worker) -> None:
    """Until its reaper has started the process that trains."""
    deadline = time.monotonic() + 30
    while not children_of(worker.pid) and time.monotonic() < deadline:
        time.sleep(0.01)


def _write_fd(pid: int) -> int:
    """The descriptor that the worker keeps for its messages, not its log."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            is_kept = int(link.name) > 2 and os.readlink(link).startswith("pipe:")
            flags = Path(f"/proc/{pid}/fdinfo/{link.name}").read_text().split()[3]
            if is_kept and int(flags, 8) & os.O_ACCMODE == os.O_WRONLY:
                return int(link.name)
        time.sleep(0.01)
    raise AssertionError("the worker has kept no descriptor to write to")
