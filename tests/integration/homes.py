"""Homes of one's own for tests of the embedded server, and processes that use them."""

import atexit
import os
import pwd
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from tuner.storage.embedded.binaries import PACKAGE, find_server_user

REPOSITORY = Path(__file__).parents[2]

# Opens the database of the home, runs a statement, says its first value, waits for its end.
SCRIPT = """
import os, sys
os.umask(int(sys.argv[2], 8))
from tuner.errors import TunerError
from tuner.storage.connections.connection import raw_closing
from tuner.storage.opening import open_database
try:
    with open_database(None) as database:
        with raw_closing(database.open_raw()) as _, raw_closing(raw := database.open_raw()):
            with raw.cursor() as cursor:
                cursor.execute(sys.argv[1])
                row = cursor.fetchone() if cursor.description else None
        print("ok" if row is None else row[0], flush=True)
        sys.stdin.readline()
except TunerError as error:
    print(f"{type(error).__name__}: {error}", flush=True)
"""


class Machine:
    """A home in a folder of its own; `owner` is who uses it."""

    def __init__(self, prepared: Path | None, name: str = "home", *, has_run: bool = True) -> None:
        """`prepared`: a server folder to take the binaries from, and with `has_run` the cluster."""
        self.root = Path(tempfile.mkdtemp(prefix="tuner-machine-", dir="/tmp"))
        self.root.chmod(0o755)
        self.home = self.root / name
        self.home.mkdir()
        self.home.chmod(0o711 if os.geteuid() == 0 else 0o700)
        self.owner = pwd.getpwuid(os.geteuid())
        self.environment: dict[str, str] = {}  # of its users
        if prepared is None:
            return
        self.server.mkdir()
        shutil.copystat(prepared, self.server)
        for binaries in prepared.glob("binaries-*"):
            (self.server / binaries.name).symlink_to(binaries)
        if has_run:
            folders = [prepared / "data", prepared / "run"]
            subprocess.run(["cp", "-a", *folders, self.server], check=True)

    @property
    def server(self) -> Path:
        return self.home / "postgres"

    @property
    def run_folder(self) -> Path:
        return self.server / "run"

    @property
    def pid_file(self) -> Path:
        return self.server / "data" / "postmaster.pid"

    def give_to_another_user(self, owner: pwd.struct_passwd | None = None) -> None:
        """An account that is neither ours nor the server's, or `owner`."""
        server = find_server_user()
        names = [n for n in ("nobody", "daemon") if server is None or n != server.name]
        self.owner = owner or pwd.getpwnam(names[0])
        shutil.rmtree(self.server, ignore_errors=True)
        for path in (self.home, *self.home.iterdir()):
            os.chown(path, self.owner.pw_uid, self.owner.pw_gid)

    @contextmanager
    def user(
        self, statement: str = "set role tuner", *, wait: bool = True, **more: Any
    ) -> "Iterator[HomeUser]":
        """A process that holds the server until the end."""
        user = HomeUser(self, statement, **more)
        try:
            if wait:
                user.wait_for_answer()
            yield user
        finally:
            user.leave()

    def postmaster(self) -> int:
        """The process id of the server."""
        return int(self.pid_file.read_text().split("\n", 1)[0])

    def processes(self) -> list[int]:
        """Every process that names the home in its command."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    command = (entry / "cmdline").read_bytes()
                except OSError:
                    continue
                if os.fsencode(self.server) in command:
                    found.append(int(entry.name))
        return found

    def keepers(self) -> list[int]:
        """The keepers among them."""
        return [p for p in self.processes() if b"keeper.py" in _command(p)]

    def is_postmaster(self, pid: int) -> bool:
        """Whether a process is a server of this home."""
        command = _command(pid).split(b"\0")
        return command[0].endswith(b"/postgres") and b"--single" not in command

    def is_up(self) -> bool:
        """Whether a server process runs."""
        return any(self.is_postmaster(pid) for pid in self.processes())

    def start_late(self, seconds: float) -> None:
        """From now on a server process does nothing for a while before it is a server."""
        (bin_folder,) = self._own_binaries().glob("*/*18/bin")
        postgres = bin_folder / "postgres"
        original = postgres.resolve()
        postgres.unlink()
        postgres.write_text(f'#!/bin/sh\nsleep {seconds}\nexec "{original}" "$@"\n')
        postgres.chmod(0o755)

    def _own_binaries(self) -> Path:
        """Links to the server's programs, which this home uses from now on."""
        for binaries in self.server.glob("binaries-*"):  # only the server of root has a copy
            real = binaries.resolve()
            binaries.unlink()
            subprocess.run(["cp", "-as", real, binaries], check=True)
            return binaries
        packages = self.root / "packages"
        packages.mkdir()
        for part in Path(str(metadata.distribution(PACKAGE).locate_file(""))).glob(
            "pixeltable_pg*"
        ):
            subprocess.run(["cp", "-as", part, packages], check=True)
        (initdb,) = packages.glob("*/*18/bin/initdb")  # the product follows this link
        subprocess.run(["cp", "--remove-destination", initdb.resolve(), initdb], check=True)
        self.environment["PYTHONPATH"] = str(packages)
        return packages

    def is_starting(self) -> bool:
        """Whether a server process has begun, however far it is."""
        return any(b"/bin/postgres" in _command(pid) for pid in self.processes())

    def torn_folders(self) -> list[Path]:
        """What an interrupted initdb leaves behind."""
        return list(self.server.glob("initdb-*"))

    def wait_until(self, condition: Callable[[], bool], what: str, seconds: float = 20) -> None:
        """Poll; fails with the processes that are there."""
        end = time.monotonic() + seconds
        while not condition():
            commands = [_command(p).replace(b"\0", b" ") for p in self.processes()]
            assert time.monotonic() < end, f"{what}: not within {seconds} s; {commands}"
            time.sleep(0.02)

    def wait_until_stopped(self) -> None:
        """The server and its keeper have gone."""
        self.wait_until(
            lambda: not self.pid_file.exists() and not self.is_up() and not self.keepers(),
            "the server stops",
        )

    def run_keeper(self) -> None:
        """A keeper of nobody: it stops what runs."""
        keeper = REPOSITORY / "tuner" / "storage" / "embedded" / "keeper.py"
        subprocess.run([sys.executable, "-I", "-S", keeper, self.server], check=True, timeout=60)

    def run_as_owner(self, *command: str) -> str:
        """What a command of the owner prints."""
        return _run_as(self.owner, *command)

    def run_as_nobody_python(self, code: str) -> str:
        """What a Python program of another user prints; it finds what we have installed."""
        nobody = pwd.getpwnam("nobody")
        return self.run_python_as(nobody.pw_uid, nobody.pw_gid, code)

    def run_python_as(self, uid: int, gid: int, code: str) -> str:
        """The same of any user id; its environment names no home."""
        python, environment = reachable_python()
        result = subprocess.run(
            [python, "-c", code],
            env=environment,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
            user=uid,
            group=gid,
            extra_groups=[],
        )
        return result.stdout + result.stderr

    def remove(self) -> None:
        """End every process of the home and delete it."""
        for pid in self.processes():
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                continue
        shutil.rmtree(self.root, ignore_errors=True)


class HomeUser:
    """A process that opens the database of a home and holds it."""

    def __init__(
        self, machine: Machine, statement: str, *, umask: int = 0o022, **environment: str
    ) -> None:
        is_other = machine.owner.pw_uid != os.geteuid()
        python, paths = reachable_python() if is_other else (sys.executable, {})
        self.answer = ""
        self.process = subprocess.Popen(
            [python, "-c", SCRIPT, statement, f"{umask:o}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd="/" if is_other else REPOSITORY,
            env={
                **_clean(),
                **paths,
                "TUNER_HOME": str(machine.home),
                **machine.environment,
                **environment,
            },
            user=machine.owner.pw_uid if is_other else None,
            group=machine.owner.pw_gid if is_other else None,
            extra_groups=[] if is_other else None,
        )

    def wait_for_answer(self) -> str:
        """The first line it prints."""
        assert self.process.stdout is not None
        self.answer = self.process.stdout.readline().rstrip("\n")
        if self.answer.startswith("Traceback"):
            self.answer += self.process.stdout.read()
        return self.answer

    def leave(self) -> None:
        """Let it end."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


def reachable_python() -> tuple[str, dict[str, str]]:
    """An interpreter that other users can run, and the environment in which it finds our code.

    The one that runs us may lie below root's home: then a copy of it without its packages.
    """
    paths = {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), sysconfig.get_paths()["purelib"]])}
    nobody = pwd.getpwnam("nobody")
    if "Permission denied" not in _run_as(nobody, "cat", os.path.realpath(sys.executable), "/x"):
        return sys.executable, paths
    home = _copy_python()
    more = {"PYTHONHOME": str(home), "LD_LIBRARY_PATH": str(home / "lib")}
    return str(home / "bin" / "python3"), {**paths, **more}


@cache
def _copy_python() -> Path:
    base, home = Path(sys.base_prefix), Path(tempfile.mkdtemp(prefix="tuner-python-", dir="/tmp"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    home.chmod(0o755)
    (home / "bin").mkdir()
    shutil.copy(os.path.realpath(sys.executable), home / "bin" / "python3")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    shutil.copytree(
        base / "lib" / version,
        home / "lib" / version,
        ignore=shutil.ignore_patterns("site-packages", "test", "idlelib", "config-*"),
    )
    for library in (base / "lib").glob("libpython*.so*"):
        shutil.copy(library, home / "lib")
    return home


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _clean() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith(("PG", "TUNER_"))}


def _run_as(user: pwd.struct_passwd, *command: str) -> str:
    result = subprocess.run(
        command,
        cwd="/",
        capture_output=True,
        check=False,
        user=user.pw_uid,
        group=user.pw_gid,
        extra_groups=[],
        env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
    )
    return (result.stdout[:1000] + result.stderr).decode(errors="replace")
