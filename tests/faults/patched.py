"""`tuner` with something changed, as a program: `python -P patched.py PATCHES run study.yaml`.

Tests of faults stop or kill an agent at a named moment, give it another clock, or break its code:
by replacing parts of the product from outside, so that the product has no hooks. PATCHES is JSON:
a list of [name, argument, ...].
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PATCHES: dict[str, Callable[..., None]] = {}
LIGHT = Path(__file__).with_name("light")


def patch(function: Callable[..., None]) -> Callable[..., None]:
    """Can be asked for by its name."""
    PATCHES[function.__name__] = function
    return function


@patch
def machine(name: str) -> None:
    """A machine of its own: nobody else can look for its process id."""
    from tuner.agent import identity

    identity._boot = lambda: name


@patch
def query(file: str, name: str, old: str, new: str) -> None:
    """Another text of a named query."""
    from tuner.storage.queries import load_queries

    statement = load_queries(file)[name]
    assert statement.count(old) == 1, f"the mutant no longer fits {file}.{name}"
    load_queries(file)[name] = statement.replace(old, new)


@patch
def moment(when: str, what: str, nth: int, action: str, marker: str) -> None:
    """Stop, kill or hold up this agent at a moment of its talk with the database.

    `when`: before or after; `what`: a named query ("claim.lock_budget"), or "commit" and the query
    that opened the transaction ("commit end.fence_ends"); the `nth` time from 1. The marker file
    says that it has come. A held up agent waits until the file is gone.
    """
    counts = {"n": 0}

    def reach(now: str, statement: str) -> None:
        if (now, statement) != (when, what):
            return
        counts["n"] += 1
        if counts["n"] != nth:
            return
        _mark(marker, time.time())
        match action:
            case "stop":
                os.kill(os.getpid(), signal.SIGSTOP)
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "hold":
                while Path(marker).exists():
                    time.sleep(0.02)

    _watch_statements(reach)


def _mark(marker: str, content: float) -> None:
    """Write a marker file that is whole as soon as it exists."""
    part = Path(f"{marker}.part")
    part.write_text(str(content))
    part.replace(marker)


def _watch_statements(reach: Callable[[str, str], None]) -> None:
    import psycopg2
    from psycopg2.extensions import cursor as Cursor

    from tuner.storage import queries
    from tuner.storage.connections import connecting
    from tuner.storage.queries import load_queries

    files = list((Path(queries.__file__).parent / "sql").glob("*.sql"))
    assert files
    names = {
        text: f"{file.stem}.{name}"
        for file in files
        for name, text in load_queries(file.stem).items()
    }

    class Watched(Cursor):
        opened_by = ""

        def execute(self, statement: Any, params: Any = None) -> None:
            name = self._name(statement) if isinstance(statement, str) else ""
            reach("before", name)
            super().execute(statement, params)
            reach("after", name)

        def _name(self, statement: str) -> str:
            text = statement.removeprefix("begin; ")
            if text != statement:
                Watched.opened_by = self.opened_by = names.get(text, "")
                return self.opened_by
            return f"commit {self.opened_by}" if text == "commit" else names.get(text, "")

    def connect(**keywords: Any) -> Any:
        return psycopg2.connect(**keywords, cursor_factory=Watched)

    connecting.psycopg2 = _Replaced(psycopg2, connect=connect)  # type: ignore[attr-defined]


class _Replaced:
    """A module with some of its names replaced."""

    def __init__(self, module: Any, **replaced: Any) -> None:
        self._module = module
        self.__dict__.update(replaced)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


@patch
def clock(shift_seconds: float) -> None:
    """The wall clock of this machine is wrong."""
    import datetime

    real, day = time.time, datetime.datetime

    class Shifted(day):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return day.now(tz) + datetime.timedelta(seconds=shift_seconds)

        @classmethod
        def utcnow(cls) -> Any:
            return day.now(datetime.UTC).replace(tzinfo=None) + datetime.timedelta(
                seconds=shift_seconds
            )

    time.time = lambda: real() + shift_seconds
    datetime.datetime = Shifted  # type: ignore[misc]


@patch
def fake_gpu(uuid: str, memory_bytes: int | None = None) -> None:
    """One GPU, which computes on the CPU; its worker sees its UUID as that of a real one."""
    from tuner import run_study
    from tuner.agent.devices import Device, FoundDevices

    gpu = Device(
        name="gpu:0",
        torch_device="cpu",
        environment={"CUDA_VISIBLE_DEVICES": uuid},
        uuids=(uuid,),
        memory_bytes=memory_bytes,
    )
    run_study.find_devices = lambda *_, **__: FoundDevices(devices=[gpu])  # type: ignore[assignment]


@patch
def impatient(pause_seconds: float) -> None:
    """A refused agent asks again sooner."""
    from tuner.storage.connections import reconnects

    reconnects.PAUSE_SECONDS = pause_seconds


@patch
def older(n_migrations: int) -> None:
    """A program of an earlier version: it knows fewer migrations."""
    from tuner.storage.schema import migrations

    known = migrations.load_migrations()[:n_migrations]
    migrations.load_migrations = lambda: known


@patch
def nogapreset() -> None:
    """Mutant: silence is counted through a gap in one's own polls."""
    from tuner.agent.observing import Observer

    note = Observer.note

    def without_reset(self: Any, others: Any, now: float) -> Any:
        self._max_gap_seconds = float("inf")
        return note(self, others, now)

    Observer.note = without_reset  # type: ignore[method-assign]


@patch
def dropreports() -> None:
    """Mutant: what could not be written is not kept."""
    from tuner.agent.acts import AskWrite
    from tuner.agent.events import BatchWritten
    from tuner.agent.threads.store import StoreThread
    from tuner.errors import DatabaseAway

    perform = StoreThread._perform

    def once(self: Any, job: Any) -> Any:
        try:
            return perform(self, job)
        except DatabaseAway:
            if isinstance(job, AskWrite):
                return [BatchWritten(batch=job.batch, lost=frozenset())]
            raise

    StoreThread._perform = once  # type: ignore[method-assign]


@patch
def noresend() -> None:
    """Mutant: an end does not send the attempt's reports again."""
    from dataclasses import replace

    from tuner.storage.work.store import PostgresStore

    end = PostgresStore.end

    def without_reports(self: Any, ends: Any) -> Any:
        return end(self, [replace(one, reports=()) for one in ends])

    PostgresStore.end = without_reports  # type: ignore[method-assign]


@patch
def naivesave() -> None:
    """Mutant: a checkpoint is written in its place."""
    from tuner.training import checkpoint

    def save(spool: Path, name: str, tree: object) -> Any:
        path = spool / f"{name}.safetensors"
        content = checkpoint.encode_tree(tree)
        checkpoint.write_synced(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), content)
        return checkpoint.CheckpointFile(path=path, sha256="", n_bytes=len(content))

    checkpoint.save_checkpoint = save


@patch
def nopdeathsig() -> None:
    """Mutant: workers do not ask the kernel to end them with their agent."""
    _worker_patches.append("nopdeathsig_worker")


@patch
def stop_before_rename(nth: int, marker: str) -> None:
    """A worker stops before its nth checkpoint gets its name."""
    _worker_patches.append(["stop_before_rename_worker", nth, marker])


_worker_patches: list[Any] = []


@patch
def nopdeathsig_worker() -> None:
    from tuner.worker import process

    process.prctl = lambda option, value: None


@patch
def stop_before_rename_worker(nth: int, marker: str) -> None:
    from tuner.training import checkpoint

    counts = {"n": 0}
    rename = os.rename

    def stopping(source: Any, target: Any) -> None:
        counts["n"] += 1
        if counts["n"] == nth and not Path(marker).exists():
            _mark(marker, os.getpid())
            os.kill(os.getpid(), signal.SIGSTOP)
        rename(source, target)

    checkpoint.os = _Replaced(os, rename=stopping)  # type: ignore[attr-defined]


def _patch_workers() -> None:
    from tuner.agent.workers import template

    given = [p if isinstance(p, list) else [p] for p in _worker_patches]
    template.TEMPLATE = (
        sys.executable,
        "-P",
        __file__,
        json.dumps(given),
        "worker",
        *template.TEMPLATE[4:],
    )


def main() -> int:
    """Patch, then do what the product's own program does."""
    for name, *arguments in json.loads(sys.argv[1]):
        PATCHES[name](*arguments)
    if sys.argv[2] == "worker":
        from tuner.worker.__main__ import main as work

        return work(sys.argv[3:])
    if _worker_patches:
        _patch_workers()
    from tuner.cli.main import main as tuner

    sys.argv = ["tuner", *sys.argv[2:]]
    return tuner()


if __name__ == "__main__":
    sys.exit(main())
