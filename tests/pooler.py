"""A real PgBouncer in front of a database of a `SystemPostgres`, as an ordinary user runs it."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg2
import pytest

from tests.postgres import SystemPostgres
from tuner.storage.embedded.binaries import find_server_user

# Debian installs it into a folder that the PATH of an ordinary user lacks.
PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
needs_pgbouncer = pytest.mark.skipif(
    PGBOUNCER is None, reason="this test needs PgBouncer: apt-get install pgbouncer"
)
PASSWORD = "canary-password"


@dataclass(kw_only=True)
class Pooler:
    """One PgBouncer, which a test starts and stops."""

    folder: Path
    port: int
    _process: "subprocess.Popen[bytes] | None" = field(default=None)

    def url(self, user: str, database: str) -> str:
        """As an agent's `TUNER_STORAGE` names it."""
        return f"postgresql://{user}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start it, and return when it accepts connections."""
        user = find_server_user()
        self._process = subprocess.Popen(
            [str(PGBOUNCER), "-q", self.folder / "ini"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={"PATH": os.environ["PATH"]},
            user=user.uid if user else None,
            group=user.gid if user else None,
            extra_groups=[] if user else None,
        )
        end = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert time.monotonic() < end, (self.folder / "log").read_text()
                time.sleep(0.02)

    def stop(self) -> None:
        """At once, as when its machine goes down."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()

    def reconnect(self) -> None:
        """Give it new sessions, as RECONNECT in its console does, but at once."""
        self.stop()
        self.start()


@contextmanager
def open_pooler(postgres: SystemPostgres, mode: str, *, more: str = "") -> Iterator[Pooler]:
    """One in front of all databases of a server, with PgBouncer's own defaults but for `more`."""
    folder = Path(tempfile.mkdtemp(prefix="tuner-pooler-", dir="/tmp"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "users").write_text(
        "".join(f'"{role}" "{PASSWORD}"\n' for role in ("owner", "worker", "reader"))
    )
    (folder / "ini").write_text(
        f"[databases]\n* = host=127.0.0.1 port={postgres.port}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = plain\nauth_file = {folder}/users\npool_mode = {mode}\n"
        f"logfile = {folder}/log\n{more}\n"
    )
    user = find_server_user()
    if user:
        for path in (folder, *folder.iterdir()):
            os.chown(path, user.uid, user.gid)
    pooler = Pooler(folder=folder, port=port)
    pooler.start()
    try:
        yield pooler
    finally:
        pooler.stop()
        shutil.rmtree(folder)


@contextmanager
def open_owned_database(postgres: SystemPostgres, name: str) -> Iterator[str]:
    """An empty database of the role "owner"; "worker" and "reader" exist and may connect."""
    for role in ("owner", "worker", "reader"):
        postgres.sql(
            f"do $$ begin create role {role} login password '{PASSWORD}';"
            " exception when duplicate_object then null; end $$"
        )
    postgres.sql(f"create database {name} owner owner encoding utf8 template template0")
    yield name
    postgres.sql(f"drop database {name} with (force)")


def query_directly(postgres: SystemPostgres, database: str, statement: str) -> list[tuple[object]]:
    """Rows of a statement of the superuser, past the pooler."""
    raw = psycopg2.connect(
        host=str(postgres.folder), port=postgres.port, user="postgres", dbname=database
    )
    try:
        with raw, raw.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        raw.close()
