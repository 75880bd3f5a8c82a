"""A Postgres that tuner did not start; TCP on a free port, with a password. Any version from 13."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tuner.storage.embedded.binaries import find_binaries, find_server_user

DEBIAN = Path("/usr/lib/postgresql/15/bin")
PASSWORD = "canary-password"


class ExternalServer:
    """One cluster; it listens on the loopback address, and on `addresses`."""

    def __init__(
        self,
        folder: Path,
        *,
        addresses: Sequence[str] = (),
        settings: Sequence[str] = (),
        standby_of: "ExternalServer | None" = None,
    ) -> None:
        self.user = find_server_user()
        self.binaries = DEBIAN if DEBIAN.exists() else find_binaries(folder, self.user)
        self.folder = folder
        self.data = str(folder / "data")
        if self.user:
            os.chown(folder, self.user.uid, self.user.gid)
        if standby_of is None:
            self._init(addresses)
        else:
            self._run("pg_basebackup", "-D", self.data, "-R", "-c", "fast", "-d", standby_of.url)
        self.port = _free_port()
        listen = ",".join(["127.0.0.1", *addresses])
        words = [f"-p {self.port}", f"-c listen_addresses={listen}", f"-k {folder}"]
        options = " ".join([*words, *(f"-c {setting}" for setting in settings)])
        self._options = ["-D", self.data, "-o", options, "-l", str(folder / "log"), "-w"]
        self.start()
        self.url = self.url_at("127.0.0.1")

    def _init(self, addresses: Sequence[str]) -> None:
        password = self.folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        words = ["-D", self.data, "-U", "fleet", "-A", "scram-sha-256", f"--pwfile={password}"]
        self._run("initdb", *words, "--no-sync")
        with (self.folder / "data" / "pg_hba.conf").open("a") as rules:
            for address in addresses:
                network = address.rsplit(".", 1)[0]
                rules.write(f"host all all {network}.0/24 scram-sha-256\n")

    def url_at(self, address: str) -> str:
        """The database as seen through one of its addresses."""
        return f"postgresql://fleet:{PASSWORD}@{address}:{self.port}/postgres"

    def restart(self, mode: str, away_seconds: float) -> None:
        """Stop it, leave it away for a while, start it."""
        self.stop(mode)
        time.sleep(away_seconds)
        self.start()

    def start(self) -> None:
        """Again, with the same data."""
        self._run("pg_ctl", "start", *self._options)

    def promote(self) -> None:
        """A standby becomes the primary."""
        self._run("pg_ctl", "promote", *self._options)

    def processes(self) -> list[int]:
        """The postmaster and its children."""
        postmaster = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
        listing = ["ps", "--ppid", str(postmaster), "-o", "pid="]
        children = subprocess.run(listing, capture_output=True, text=True, check=True).stdout
        return [postmaster, *map(int, children.split())]

    def is_up(self) -> bool:
        """Whether a postmaster has the cluster."""
        return (self.folder / "data" / "postmaster.pid").exists()

    def stop(self, mode: str = "immediate") -> None:
        self._run("pg_ctl", "stop", "-m", mode, *self._options)

    def _run(self, *words: str) -> None:
        subprocess.run(
            [self.binaries / words[0], *words[1:]],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            timeout=60,
            user=self.user.uid if self.user else None,
            group=self.user.gid if self.user else None,
            extra_groups=[] if self.user else None,
        )


@contextmanager
def open_external(
    *,
    addresses: Sequence[str] = (),
    settings: Sequence[str] = (),
    standby_of: ExternalServer | None = None,
) -> Iterator[ExternalServer]:
    """A server of one test; stopped and removed at its end."""
    folder = Path(tempfile.mkdtemp(prefix="tuner-external-"))
    folder.chmod(0o755)
    server: ExternalServer | None = None
    try:
        server = ExternalServer(
            folder, addresses=addresses, settings=settings, standby_of=standby_of
        )
        yield server
    finally:
        if server is not None and server.is_up():
            server.stop()
        shutil.rmtree(folder)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
