"""The embedded Postgres: started by the first tuner process of a home, stopped after the last.

Life cycle: every user holds a shared lock on `users.lock` while it needs the server; the keeper
(`keeper.py`) stops the server once it gets the exclusive lock. "Running" is judged by connecting,
never by a pid file. Clients come over a Unix socket only, and the server asks the kernel for their
user (peer authentication): there is no password that could leak, and other users of the machine are
refused.
"""

import fcntl
import hashlib
import os
import shutil
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from errno import EACCES
from pathlib import Path
from typing import IO

import psycopg2
from sqlalchemy.engine import URL

from tuner.errors import DatabaseError, UsageError
from tuner.storage.embedded.binaries import (
    ServerUser,
    find_binaries,
    find_server_name,
    find_server_user,
    runs_no_programs,
)
from tuner.storage.embedded.cluster import DATABASE, ROLE, create_cluster, server_environment
from tuner.storage.embedded.home import Home
from tuner.storage.embedded.keeper import find_postmaster
from tuner.storage.embedded.listening import Listen, admit_others, check_free
from tuner.storage.embedded.server_parent import NO_RIGHT

PORT = 5432  # names the socket; always given, because PGPORT may differ
START_SECONDS = 60.0
RECOVERY_SECONDS = 30.0  # for a server that runs but takes no connection
SOCKET_NAME = f".s.PGSQL.{PORT}"
MAX_SOCKET_PATH = 100  # bytes; the kernel's limit is 107

# Small and quiet, for one machine: a few connections per agent, no TCP port.
SETTINGS = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",  # all our statements are short
    "io_method": "sync",  # no helper processes
    "autovacuum_naptime": "20s",  # lease and agent rows are updated often
}


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running embedded server, held by this process until `close`."""

    folder: Path
    socket_folder: Path
    user: ServerUser | None
    users_lock: IO[str]
    listen_lock: IO[str] | None = None  # of the process that serves other machines

    @property
    def url(self) -> str:
        """Return the URL for SQLAlchemy, Optuna and optuna-dashboard; it contains no secret."""
        query = {"host": str(self.socket_folder), "port": str(PORT)}
        url = URL.create("postgresql+psycopg2", username=ROLE, database=DATABASE, query=query)
        return url.render_as_string()

    def close(self) -> None:
        """Give up the shared lock; the keeper stops the server if it was the last."""
        if self.listen_lock is not None:
            self.listen_lock.close()
        self.users_lock.close()

    def revive(self) -> None:
        """Start the server again if it has died; raises `DatabaseError` if it does not come up."""
        with _exclusive(self.folder / "start.lock"):
            if not _is_up(self.socket_folder):
                _start_keeper(self.folder)
                _start(self.folder, self.socket_folder, self.user, _served_at(self.folder))


def open_server(home: Home, listen: Listen | None = None) -> Server:
    """Start the server or join the running one; raises `DatabaseError` if it does not come up.

    `listen`: serve other machines too; raises `UsageError` if it runs already without that.
    """
    folder = home.server
    user = find_server_user(folder / "data")
    try:
        if not folder.exists():
            folder.mkdir(exist_ok=True)
            folder.chmod(0o711 if user else 0o700)  # whatever the umask is
        return _join_or_start(folder, user, listen)
    except PermissionError as error:
        if error.filename is not None and runs_no_programs(Path(error.filename)):
            raise DatabaseError(
                f"{error.filename} is on a file system mounted noexec; set "
                "TUNER_HOME to a folder on another one, or name a database with --storage"
            ) from error
        who = f"by {user.name}, the system user that runs it" if user else "by us"
        raise DatabaseError(
            f"{folder} of the embedded Postgres cannot be used {who} (no right to "
            f"{error.filename}); set TUNER_HOME to a folder that all users may pass through, or "
            "name a database with --storage"
        ) from error
    except OSError as error:
        raise DatabaseError(
            f"cannot start the embedded Postgres in {folder}: {_in_words(error)}"
        ) from error


def _in_words(error: OSError) -> str:
    """Return the first failure of a copy, which has one for each file."""
    failures = error.args[0] if isinstance(error, shutil.Error) else None
    return str(failures[0][2]) if isinstance(failures, list) and failures else str(error)


def _join_or_start(folder: Path, user: ServerUser | None, listen: Listen | None) -> Server:
    # Wait while the keeper stops the server whose last user has just left.
    users_lock = _open_private(folder / "users.lock")
    fcntl.flock(users_lock, fcntl.LOCK_SH)
    try:
        with _exclusive(folder / "start.lock"):
            socket_folder = _socket_folder(folder, user)
            # first, so that the server has a keeper if this process is killed meanwhile
            _start_keeper(folder)
            is_ours = not _is_up(socket_folder) and _start(
                folder, socket_folder, user, listen or _served_at(folder)
            )
            if listen is not None and not is_ours:
                raise _is_up_already()
            listen_lock = None if listen is None else _say_served(folder, listen)
    except BaseException:
        users_lock.close()
        raise
    return Server(
        folder=folder,
        socket_folder=socket_folder,
        user=user,
        users_lock=users_lock,
        listen_lock=listen_lock,
    )


def _say_served(folder: Path, listen: Listen) -> IO[str]:
    """Record the address for the process that restarts the server, as long as the lock is held."""
    lock = _open_private(folder / "listen")
    fcntl.flock(lock, fcntl.LOCK_EX)
    lock.truncate(0)
    lock.write(f"{listen.address} {listen.port}")
    lock.flush()
    return lock


def _served_at(folder: Path) -> Listen | None:
    """Return the address of a living `tuner db serve --listen`; None without one."""
    try:
        with open(folder / "listen") as said:
            try:
                fcntl.flock(said, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                address, port = said.read().split()
                return Listen(address=address, port=int(port))
    except FileNotFoundError:
        pass
    return None  # the lock is free: the record is outdated


def _is_up_already() -> UsageError:
    return UsageError(
        "the embedded Postgres is already running, and its address is set only when it starts; "
        "end the tuner commands that use it, then start tuner db serve --listen again"
    )


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    with _open_private(path) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _open_private(path: Path) -> IO[str]:
    """Append to a file that no other user may open: a lock of theirs would block this process."""
    return open(path, "a", opener=lambda name, flags: os.open(name, flags, 0o600))


def _socket_folder(folder: Path, user: ServerUser | None) -> Path:
    """Return a 0700 folder of the server's user whose path is short enough for a socket.

    Clients and server read a comma as the end of one path and the start of another.
    """
    path = folder / "run"
    if len(os.fsencode(path / SOCKET_NAME)) > MAX_SOCKET_PATH or "," in str(path):
        digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
        # Not TMPDIR: it differs between the jobs of one user.
        path = Path("/tmp") / f"tuner-{os.geteuid()}-{digest}"
    if not path.exists():
        path.mkdir(mode=0o700)
        if user:
            os.chown(path, user.uid, user.gid)
    found = path.lstat()
    owner = user.uid if user else os.geteuid()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or found.st_mode & 0o077:
        raise DatabaseError(f"{path} is not a private folder of ours; remove it and try again")
    return path


def _is_up(socket_folder: Path) -> bool:
    try:
        psycopg2.connect(
            host=str(socket_folder), port=PORT, user=ROLE, dbname=DATABASE, connect_timeout=5
        ).close()
    except psycopg2.OperationalError:
        return False
    return True


def _start(
    folder: Path, socket_folder: Path, user: ServerUser | None, listen: Listen | None
) -> bool:
    """Start it and wait until it is up; False if it runs already and only refused a connection."""
    binaries = find_binaries(folder, user)
    data = folder / "data"
    log = folder / "server.log"
    if _answers_at_last(data, socket_folder, log):
        return False
    if not data.exists():
        create_cluster(binaries, folder, data, user)
    _remove_stale_files(data, socket_folder)
    if listen is not None:
        check_free(listen)
        admit_others(data)
        _link_socket(socket_folder, listen.port)
    with _open_private(log) as output, _open_private(folder / "server.lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)  # for as long as one of its processes lives
        account = f"{user.uid}:{user.gid}" if user else "-"
        command = [*_python("server_parent.py"), str(folder), account, str(lock.fileno())]
        command += [*find_server_name().words, str(binaries / "postgres"), "-D", str(data)]
        command += _settings(socket_folder, listen)
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=socket_folder,
            env=server_environment(),
            start_new_session=True,  # Ctrl-C in this terminal is not for the server
            pass_fds=[lock.fileno()],
        )
    _wait_until_up(process, socket_folder, log, binaries)
    return True


def _settings(socket_folder: Path, listen: Listen | None) -> list[str]:
    settings: dict[str, object] = {**SETTINGS, "unix_socket_directories": socket_folder}
    settings["port"] = PORT if listen is None else listen.port
    if listen is not None:
        settings["listen_addresses"] = listen.address
    return [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]


def _link_socket(socket_folder: Path, port: int) -> None:
    """Link the socket, which is named after the port, to its usual name."""
    usual = socket_folder / SOCKET_NAME
    usual.unlink(missing_ok=True)
    if port != PORT:
        usual.symlink_to(f".s.PGSQL.{port}")


def _remove_stale_files(data: Path, socket_folder: Path) -> None:
    """Remove a crashed server's files, if its process number belongs to another process now.

    Postgres itself only checks that some process of its user has that number, and would refuse to
    start. The start lock is held and the socket does not answer.
    """
    if find_postmaster(data) is None:
        (data / "postmaster.pid").unlink(missing_ok=True)
        (socket_folder / f"{SOCKET_NAME}.lock").unlink(missing_ok=True)


def _answers_at_last(data: Path, socket_folder: Path, log: Path) -> bool:
    """Return whether a server that others started recovers, or has a free connection again.

    False if there is none any more: its parent may have been killed, and it stops.
    """
    end = time.monotonic() + RECOVERY_SECONDS
    while find_postmaster(data) is not None:
        if _is_up(socket_folder):
            return True
        if time.monotonic() > end:
            raise _says(log, "answer")
        time.sleep(0.01)
    return False


def _wait_until_up(
    process: "subprocess.Popen[bytes]", socket_folder: Path, log: Path, binaries: Path
) -> None:
    """Wait until it takes connections."""
    end = time.monotonic() + START_SECONDS
    while not _is_up(socket_folder):
        if process.poll() == NO_RIGHT:
            raise PermissionError(EACCES, "Permission denied", str(binaries / "postgres"))
        if process.returncode is not None or time.monotonic() > end:
            process.kill()
            process.wait()
            raise _says(log, "start")
        time.sleep(0.01)
    _reap_later(process)


def _says(log: Path, what: str) -> DatabaseError:
    tail = log.read_text(errors="replace").strip().splitlines()[-3:]
    return DatabaseError(
        f"the embedded Postgres did not {what}; {log} ends with: {' / '.join(tail)}"
    )


def _reap_later(process: "subprocess.Popen[bytes]") -> None:
    """Collect the server's exit status: it may outlive this process, but must not stay a zombie."""
    threading.Thread(target=process.wait, name=f"reaper-{process.pid}", daemon=True).start()


def _start_keeper(folder: Path) -> None:
    """Start a keeper; it leaves at once if another one is at work."""
    keeper = subprocess.Popen(
        [*_python("keeper.py"), str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env=server_environment(),
        start_new_session=True,
    )
    _reap_later(keeper)


def _python(script: str) -> list[str]:
    """Run a script of this folder that outlives this process, without loading tuner."""
    return [sys.executable, "-I", "-S", str(Path(__file__).with_name(script))]
