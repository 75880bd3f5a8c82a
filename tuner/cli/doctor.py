"""`tuner doctor`."""

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from tuner.agent.devices import list_devices
from tuner.cli.database import exists
from tuner.cli.json_text import render_json
from tuner.cli.text import clean
from tuner.errors import PoolerUnfit, TunerError
from tuner.storage.connection import render_url, storage_setting
from tuner.storage.diagnosis import Diagnosis, diagnose
from tuner.storage.home import open_home
from tuner.storage.opening import open_database
from tuner.storage.roles import RoleKind

OK, WARN, FAIL = "ok", "warn", "fail"
_GIB, _MIB = 1 << 30, 1 << 20
_TORCH = (
    "import torch; print(torch.__version__, torch.cuda.device_count(), torch.version.cuda or '-')"
)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the doctor."""

    what: str
    verdict: str  # ok, warn, fail
    text: str
    remedy: str = ""


def execute(options: argparse.Namespace) -> int:
    """Each line as it is found; 1 when something fails."""
    findings = []
    for finding in examine(options.storage):
        findings.append(finding)
        if not options.json:
            print(render(finding), flush=True)
    if options.json:
        print(render_json([asdict(finding) for finding in findings], indent=2))
    return int(any(finding.verdict == FAIL for finding in findings))


def render(finding: Finding) -> str:
    """`ok    python  3.11.7`."""
    line = f"{finding.verdict.ljust(4)}  {finding.what.ljust(9)}  {finding.text}"
    return clean(f"{line}\n{' ' * 17}{finding.remedy}" if finding.remedy else line)


def examine(storage: str | None) -> Iterator[Finding]:
    """The machine, then the database."""
    yield _python()
    yield _torch()
    yield _guarded("devices", _devices)
    yield _guarded("home", _home)
    yield _guarded("store", _store)
    try:
        yield from _database(storage)
    except PoolerUnfit as error:
        yield Finding(what="pooler", verdict=FAIL, text=str(error))
    except TunerError as error:
        yield Finding(
            what="database",
            verdict=FAIL,
            text=str(error),
            remedy="check --storage, TUNER_STORAGE, the network and the password file",
        )


def _guarded(what: str, find: Callable[[], Finding]) -> Finding:
    try:
        return find()
    except TunerError as error:
        return Finding(what=what, verdict=FAIL, text=str(error))


def _python() -> Finding:
    versions = f"{platform.python_version()}, tuner {metadata.version('tuner')}"
    return Finding(what="python", verdict=OK, text=f"{versions}, {platform.platform()}")


def _torch() -> Finding:
    """In a process of its own: here nothing may load it."""
    child = subprocess.run(
        [sys.executable, "-P", "-c", _TORCH], capture_output=True, text=True, check=False
    )
    if child.returncode:
        last = (child.stderr.strip().splitlines() or ["no message"])[-1]
        remedy = "pip install 'torch>=2.10'"
        return Finding(what="torch", verdict=FAIL, text=last, remedy=remedy)
    version, n_gpus, cuda = child.stdout.split()
    return Finding(what="torch", verdict=OK, text=f"{version}, CUDA {cuda}, sees {n_gpus} GPUs")


def _devices() -> Finding:
    devices = list_devices(None, 1)
    names = ", ".join(device.name for device in devices[:8])
    more = f" and {len(devices) - 8} more" if len(devices) > 8 else ""
    has_gpu = any(device.name.startswith("gpu") for device in devices)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if not has_gpu and visible:
        remedy = f"CUDA_VISIBLE_DEVICES={visible} names GPUs, and none is found"
        return Finding(what="devices", verdict=WARN, text=f"{names}{more}", remedy=remedy)
    return Finding(what="devices", verdict=OK, text=f"{names}{more}")


def _home() -> Finding:
    path: Path = open_home().path
    free = shutil.disk_usage(path).free / _GIB
    text = f"{path}, {free:.1f} GiB free"
    if free < 1:
        remedy = "checkpoints and the embedded database need room: free some, or set TUNER_HOME"
        return Finding(what="home", verdict=FAIL if free < 0.1 else WARN, text=text, remedy=remedy)
    return Finding(what="home", verdict=OK, text=text)


def _store() -> Finding:
    """Checkpoints are kept in the database; on their way they lie in the spool."""
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


def _database(storage: str | None) -> Iterator[Finding]:
    if not exists(storage):
        text = "embedded, not made yet: the first tuner run makes it"
        yield Finding(what="database", verdict=OK, text=text)
        return
    with open_database(storage_setting(storage)) as database:
        found = diagnose(database)
        where = render_url(database.engine.url)
    yield from judge(found, where)


def judge(found: Diagnosis, where: str) -> Iterator[Finding]:
    """What a database's facts mean."""
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
            return Finding(what="rights", verdict=OK, text="may make the tables, and own them")
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
