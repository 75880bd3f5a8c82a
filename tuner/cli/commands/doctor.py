"""`tuner doctor`."""

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TypeVar, cast

from tuner.agent.devices import list_devices
from tuner.cli.database import exists
from tuner.cli.text.as_json import render_json
from tuner.cli.text.words import clean, count, terminal_width
from tuner.errors import CannotWork, PoolerUnfit, TunerError
from tuner.storage.connections.connection import render_url, storage_setting
from tuner.storage.embedded.home import open_home
from tuner.storage.objects.own import check_store, open_store_of
from tuner.storage.opening import open_database
from tuner.storage.schema.diagnosis import Diagnosis, diagnose
from tuner.storage.schema.roles import RoleKind

OK, WARN, FAIL = "ok", "warn", "fail"
_Result = TypeVar("_Result")
_GIB, _MIB = 1 << 30, 1 << 20
_NAME_WIDTH = 9
_CHECK_SECONDS = 30.0
_STORE_SECONDS = 120.0  # with the retries of the store
_DATABASE_SECONDS = 60.0  # several hosts, each with its own connection time-out
_TORCH_SECONDS = 120.0  # the first import from a network disk is slow
_DATABASE_REMEDY = "check --storage, TUNER_STORAGE, the network and the password file"
_DISK_REMEDY = "its disk does not answer; set TUNER_HOME to a folder on a disk of this machine"
_TORCH = (
    "import torch; print(torch.__version__, torch.cuda.device_count(), torch.version.cuda or '-')"
)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the report."""

    what: str
    verdict: str  # ok, warn, fail
    text: str
    remedy: str = ""


def execute(options: argparse.Namespace) -> int:
    """Show each check when it begins and its finding when it ends; 1 when something fails."""
    findings = []
    study_file = None if options.file is None else Path(options.file)
    for finding in examine(options.storage, _ignore if options.json else _show_begin, study_file):
        findings.append(finding)
        if not options.json:
            print(render(finding, terminal_width(sys.stdout)), flush=True)
    if options.json:
        print(render_json([asdict(finding) for finding in findings], indent=2))
    return int(any(finding.verdict == FAIL for finding in findings))


def render(finding: Finding, width: int | None = None) -> str:
    """Render `ok    3.11.7`: the text after the check's name, folded to the width."""
    margin = " " * (_NAME_WIDTH + 8)
    texts = [finding.text, *([finding.remedy] if finding.remedy else [])]
    lines = [f"{margin}{line}" for text in texts for line in _folded(clean(text), margin, width)]
    after_name = "\n".join(lines).removeprefix(margin)
    return f"{finding.verdict.ljust(4)}  {after_name}"


def _folded(text: str, margin: str, width: int | None) -> list[str]:
    """Return the lines of the text; words longer than a line stay whole, to be copied."""
    if width is None:
        return text.splitlines()
    columns = max(20, width - len(margin))
    lines = text.splitlines()
    return [
        part
        for line in lines
        for part in textwrap.wrap(line, columns, break_long_words=False, break_on_hyphens=False)
    ]


def _show_begin(what: str) -> None:
    """Print the name alone: a check that hangs shows its name."""
    print(f"{what.ljust(_NAME_WIDTH)}  ", end="", flush=True)


def _ignore(_what: str) -> None:
    """Do nothing: with --json, everything is one document at the end."""


def examine(
    storage: str | None, begin: Callable[[str], None], study_file: Path | None = None
) -> Iterator[Finding]:
    """Check the machine, then the database; `begin` gets the name of each check before it runs.

    `study_file` names the checkpoint store to check, if it has one.
    """
    begin("python")
    yield _python()
    begin("torch")
    yield _torch()
    begin("devices")
    driver = "the GPU driver does not answer; look at nvidia-smi and dmesg"
    yield _limited("devices", _devices, _CHECK_SECONDS, driver)
    begin("home")
    yield _limited("home", _home, _CHECK_SECONDS, _DISK_REMEDY)
    begin("data")
    yield _limited("data", _data, _CHECK_SECONDS, _DISK_REMEDY)
    begin("store")
    yield _limited("store", _store, _CHECK_SECONDS, _DISK_REMEDY)
    if study_file is not None:
        begin("objects")
        look = partial(_objects, study_file)
        yield _limited("objects", look, _STORE_SECONDS, "check the network and the endpoint")
    yield from _database(storage, begin)


def _limited(what: str, find: Callable[[], Finding], seconds: float, remedy: str) -> Finding:
    """Return the finding, or a failed one after the timeout."""
    try:
        return call_within(seconds, find)
    except TimeoutError:
        return _silent(what, seconds, remedy)
    except TunerError as error:
        return Finding(what=what, verdict=FAIL, text=str(error))


def _silent(what: str, seconds: float, remedy: str) -> Finding:
    return Finding(what=what, verdict=FAIL, text=f"no answer within {seconds:g} s", remedy=remedy)


def call_within(seconds: float, function: Callable[[], _Result]) -> _Result:
    """Return the function's result; raises `TimeoutError` and leaves the call running.

    A call into a driver, a network disk or a resolver cannot be ended. Its thread does not keep the
    process alive.
    """
    outcome: SimpleQueue[tuple[_Result | None, BaseException | None]] = SimpleQueue()

    def call() -> None:
        try:
            outcome.put((function(), None))
        except BaseException as error:
            outcome.put((None, error))

    threading.Thread(target=call, daemon=True).start()
    try:
        result, error = outcome.get(timeout=seconds)
    except Empty:
        raise TimeoutError from None
    if error is not None:
        raise error
    return cast("_Result", result)


def _python() -> Finding:
    versions = f"{platform.python_version()}, tuner {metadata.version('tuner')}"
    return Finding(what="python", verdict=OK, text=f"{versions}, {platform.platform()}")


def _torch() -> Finding:
    """Check torch in a process of its own: this one must not load it."""
    command = [sys.executable, "-P", "-c", _TORCH]
    look = partial(subprocess.run, command, capture_output=True, text=True, timeout=_TORCH_SECONDS)
    try:
        # The second limit is for a child in a driver, which the first limit's kill does not end.
        child = call_within(_TORCH_SECONDS + 5, look)
    except (TimeoutError, subprocess.TimeoutExpired):
        remedy = "importing it hangs; look at nvidia-smi, dmesg and the disk that holds it"
        return _silent("torch", _TORCH_SECONDS, remedy)
    if child.returncode:
        last = (child.stderr.strip().splitlines() or ["no message"])[-1]
        remedy = "pip install 'torch>=2.10'"
        return Finding(what="torch", verdict=FAIL, text=last, remedy=remedy)
    version, n_gpus, cuda = child.stdout.split()
    return Finding(what="torch", verdict=OK, text=f"{version}, CUDA {cuda}, sees {n_gpus} GPUs")


def _devices() -> Finding:
    try:
        devices = list_devices(None, 1)
    except CannotWork as error:
        what, remedy = str(error).split("; check ", 1)
        return Finding(what="devices", verdict=FAIL, text=what, remedy=f"check {remedy}")
    names = ", ".join(device.name for device in devices[:8])
    more = f" and {len(devices) - 8} more" if len(devices) > 8 else ""
    return Finding(what="devices", verdict=OK, text=f"{names}{more}")


def _home() -> Finding:
    path: Path = open_home().path
    free = shutil.disk_usage(path).free / _GIB
    text = f"{path}, {free:.1f} GiB free"
    if free < 1:
        remedy = "checkpoints and the embedded database need room: free some, or set TUNER_HOME"
        return Finding(what="home", verdict=FAIL if free < 0.1 else WARN, text=text, remedy=remedy)
    return Finding(what="home", verdict=OK, text=text)


def _data() -> Finding:
    """Show the room that prepared data take."""
    folders = [path for path in open_home().data.iterdir() if path.is_dir()]
    n_bytes = sum(file.stat().st_size for folder in folders for file in folder.iterdir())
    text = f"{count(len(folders), 'prepared data set')}, {n_bytes / _MIB:.1f} MiB"
    if folders:
        text += "; those that no study uses for 30 days are removed"
    return Finding(what="data", verdict=OK, text=text)


def _store() -> Finding:
    """Check the spool: checkpoints are kept in the database and pass through it."""
    spool = open_home().spool
    text = f"checkpoints go to the database by way of {spool}"
    if spool.stat().st_mode & 0o077:
        remedy = f"other users may look into it: chmod 700 {spool}"
        return Finding(what="store", verdict=FAIL, text=text, remedy=remedy)
    try:
        with tempfile.TemporaryFile(dir=spool) as file:
            file.write(bytes(_MIB))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        remedy = "trials could not save: free some room, or set TUNER_HOME to another disk"
        text = f"{spool} takes no file ({error.strerror})"
        return Finding(what="store", verdict=FAIL, text=text, remedy=remedy)
    return Finding(what="store", verdict=OK, text=text)


def _objects(study_file: Path) -> Finding:
    """Write, read and remove an object in the store of a study file."""
    store = open_store_of(study_file)
    if store is None:
        return Finding(what="objects", verdict=OK, text=f"{study_file} keeps them in the database")
    check_store(store)
    return Finding(what="objects", verdict=OK, text=f"{store.shown} takes and returns checkpoints")


def _database(storage: str | None, begin: Callable[[str], None]) -> Iterator[Finding]:
    begin("database")
    try:
        looked_at = call_within(_DATABASE_SECONDS, partial(_look_at_database, storage))
    except TimeoutError:
        yield _silent("database", _DATABASE_SECONDS, _DATABASE_REMEDY)
        return
    except PoolerUnfit as error:
        yield Finding(what="database", verdict=FAIL, text=str(error))
        return
    except TunerError as error:
        yield Finding(what="database", verdict=FAIL, text=str(error), remedy=_DATABASE_REMEDY)
        return
    if looked_at is None:
        text = "embedded, not made yet: the first tuner run makes it"
        yield Finding(what="database", verdict=OK, text=text)
        return
    for number, finding in enumerate(judge(*looked_at)):
        if number:
            begin(finding.what)
        yield finding


def _look_at_database(storage: str | None) -> tuple[Diagnosis, str] | None:
    """Return the diagnosis and the database's name; None for an embedded one not created yet."""
    if not exists(storage):
        return None
    with open_database(storage_setting(storage)) as database:
        return diagnose(database), render_url(database.engine.url)


def judge(found: Diagnosis, where: str) -> Iterator[Finding]:
    """Yield the findings about a database: server, pooler, schemas, rights, TLS, clock."""
    text = f"{where} as {found.role}, Postgres {found.server_version}"
    if found.is_standby:
        remedy = "this is a read-only standby; name the primary"
        yield Finding(what="database", verdict=FAIL, text=text, remedy=remedy)
    else:
        yield Finding(what="database", verdict=OK, text=text)
    if found.is_pooled:
        yield _pooler(found)
    yield _latency(found)
    yield _schemas(found)
    yield _rights(found)
    yield _tls(found)
    yield _clock(found)


def _pooler(found: Diagnosis) -> Finding:
    how = "the role's own time-outs" if found.has_limits else "a session for each of its clients"
    return Finding(what="pooler", verdict=OK, text=f"a connection pooler, with {how}")


def _latency(found: Diagnosis) -> Finding:
    text = f"{1000 * found.round_trip_seconds:.2g} ms round trip"
    if found.round_trip_seconds > 0.2:
        remedy = "short trials will wait for it; a database nearer by would help"
        return Finding(what="latency", verdict=WARN, text=text, remedy=remedy)
    return Finding(what="latency", verdict=OK, text=text)


def _schemas(found: Diagnosis) -> Finding:
    text = (
        f"Optuna {found.optuna_revision or 'none yet'}, tuner {found.schema_version or 'none yet'}"
    )
    revision = found.optuna_revision
    if found.has_tables and found.kind is None:
        text = "cannot be looked at"
        return Finding(what="schemas", verdict=WARN, text=text, remedy="see rights")
    if revision is not None and revision not in found.known_revisions:
        known = ", ".join(sorted(found.known_revisions))
        remedy = f"this tuner works with Optuna's schema {known}: upgrade tuner"
        return Finding(what="schemas", verdict=FAIL, text=text, remedy=remedy)
    if found.schema_version > found.known_version:
        remedy = f"made by a newer tuner (this one knows {found.known_version}): upgrade tuner"
        return Finding(what="schemas", verdict=FAIL, text=text, remedy=remedy)
    if found.schema_version < found.known_version:
        remedy = f"the next command brings it to {found.known_version}"
        return Finding(what="schemas", verdict=WARN, text=text, remedy=remedy)
    return Finding(what="schemas", verdict=OK, text=text)


def _rights(found: Diagnosis) -> Finding:
    if not found.has_tables:
        if found.can_create:
            return Finding(what="rights", verdict=OK, text="may create and own the tables")
        remedy = "it must be able to create schemas and tables, or an owner runs tuner db upgrade"
        return Finding(what="rights", verdict=FAIL, text="may make no tables", remedy=remedy)
    lacks = ", ".join(found.missing[:3])
    if len(found.missing) > 3:
        lacks += f" and {len(found.missing) - 3} more"
    match found.kind:
        case RoleKind.OWNER:
            return Finding(what="rights", verdict=OK, text="owner: may do everything")
        case RoleKind.WORKER:
            text = "worker: runs and steers studies, deletes none"
            return Finding(what="rights", verdict=OK, text=text)
        case RoleKind.READER:
            text = f"reader: looks at studies; to work on them it lacks {lacks}"
            remedy = f"if it is to work, the owner runs tuner db grant worker {found.role}"
            return Finding(what="rights", verdict=WARN, text=text, remedy=remedy)
        case None:
            text = f"may not even look: it lacks {lacks}"
            remedy = f"the owner runs tuner db grant worker {found.role}, or reader"
            return Finding(what="rights", verdict=FAIL, text=text, remedy=remedy)


def _tls(found: Diagnosis) -> Finding:
    if found.tls is not None:
        return Finding(what="tls", verdict=OK, text=f"encrypted ({found.tls})")
    if found.is_local:
        return Finding(what="tls", verdict=OK, text="not needed: the database is on this machine")
    remedy = "the network can read along; add ?sslmode=require (or verify-full) to the URL"
    return Finding(what="tls", verdict=WARN, text="not encrypted", remedy=remedy)


def _clock(found: Diagnosis) -> Finding:
    text = f"the database's is {found.clock_seconds:+.1f} s from this machine's"
    if abs(found.clock_seconds) > 5:
        remedy = "only times that people read are off: no decision compares clocks"
        return Finding(what="clock", verdict=WARN, text=text, remedy=remedy)
    return Finding(what="clock", verdict=OK, text=text)
