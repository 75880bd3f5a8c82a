"""A Postgres of the system's own packages: over TCP, with passwords and TLS, for tests of those."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tuner.storage.embedded.binaries import find_server_user

NAME = "db.tuner.test"  # a host that is not this machine, for libpq: its address is given beside it


@dataclass(frozen=True, kw_only=True)
class SystemPostgres:
    """A cluster in a folder of its own; `start` and `stop` as one likes."""

    binaries: Path
    folder: Path
    port: int

    @property
    def certificate(self) -> Path:
        """What `sslrootcert` names."""
        return self.folder / "server.crt"

    def query(self) -> str:
        """The part of a URL that leads here."""
        return f"hostaddr=127.0.0.1&port={self.port}"

    def url(self, user: str, database: str, *, password: str = "", more: str = "") -> str:
        """As another machine would write it."""
        login = f"{user}:{password}" if password else user
        return f"postgresql://{login}@{NAME}/{database}?{self.query()}{more}"

    def run(self, program: str, *words: str, text: str = "") -> str:
        """One of the server's programs, as the user that owns the cluster."""
        user = find_server_user()
        done = subprocess.run(
            [self.binaries / program, *words],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
            user=user.uid if user else None,
            group=user.gid if user else None,
            extra_groups=[] if user else None,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def sql(self, text: str, database: str = "postgres") -> str:
        """Statements of the superuser, over the socket."""
        return self.run(
            "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-U", "postgres",
            "-h", str(self.folder), "-p", str(self.port), "-d", database, text=text,
        )  # fmt: skip

    def start(self) -> None:
        """Bring it up."""
        self._control("start", "-l", "server.log")

    def stop(self, how: str = "immediate") -> None:
        """As a power cut, or `fast`."""
        self._control("stop", "-m", how)

    def _control(self, *words: str) -> None:
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-s", *words)


def find_system_binaries() -> Path:
    """The newest Postgres of the system; fails where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    assert found, "this test needs a Postgres with TLS: apt-get install postgresql"
    return found[-1].parent


@contextmanager
def open_system_postgres(*, settings: Sequence[str] = ()) -> Iterator[SystemPostgres]:
    """A running one; users of other machines need a password, TLS is offered."""
    folder = Path(tempfile.mkdtemp(prefix="tuner-postgres-", dir="/tmp"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    postgres = SystemPostgres(binaries=find_system_binaries(), folder=folder, port=port)
    _make_certificate(folder)
    user = find_server_user()
    if user:
        for path in (folder, *folder.iterdir()):
            os.chown(path, user.uid, user.gid)
    folder.chmod(0o755)
    postgres.run("initdb", "-D", str(folder / "data"), "-U", "postgres", "-A", "trust", "--no-sync")
    (folder / "data" / "pg_hba.conf").write_text(
        "local all all trust\nhost all all all scram-sha-256\n"
    )
    lines = [
        "listen_addresses = '127.0.0.1'",
        f"port = {port}",
        f"unix_socket_directories = '{folder}'",
        "ssl = on",
        f"ssl_cert_file = '{folder}/server.crt'",
        f"ssl_key_file = '{folder}/server.key'",
        "fsync = off",
        *settings,
    ]
    with (folder / "data" / "postgresql.conf").open("a") as conf:
        conf.write("\n".join(lines) + "\n")
    postgres.start()
    try:
        yield postgres
    finally:
        postgres.stop()
        shutil.rmtree(folder)


def _make_certificate(folder: Path) -> None:
    assert shutil.which("openssl"), "this test makes a certificate: apt-get install openssl"
    subprocess.run(
        [
            *("openssl", "req", "-new", "-x509", "-days", "30", "-nodes", "-subj", f"/CN={NAME}"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-addext", f"subjectAltName=DNS:{NAME}"),
            *("-keyout", folder / "server.key", "-out", folder / "server.crt"),
        ],
        check=True,
        capture_output=True,
    )
    (folder / "server.key").chmod(0o600)
