"""The folder on this machine in which tuner keeps its own files."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tuner.errors import CannotWork, RunFailed


@dataclass(frozen=True, kw_only=True)
class Home:
    """`TUNER_HOME`: the embedded server, prepared data, and the spool of checkpoints."""

    path: Path

    @property
    def server(self) -> Path:
        """Return the folder of the embedded Postgres."""
        return self.path / "postgres"

    @property
    def data(self) -> Path:
        """Return the folder of prepared arrays, with one folder per data set and preparation."""
        return self.path / "data"

    @property
    def spool(self) -> Path:
        """Return the folder of checkpoints on their way to the database."""
        return self.path / "spool"

    @property
    def devices(self) -> Path:
        """Return the folder of the locks of GPUs."""
        return self.path / "devices"

    @property
    def trials(self) -> Path:
        """Return the parent of the folders that users' functions write to (`trial.dir`)."""
        return self.path / "trials"


def open_home() -> Home:
    """Create the folder if needed, closed to other users.

    For root it is `/var/lib/tuner`, because the embedded server runs there as another user who
    could not reach root's home directory. It is mode 0711 then, its contents 0700.
    """
    path = Path(os.environ.get("TUNER_HOME") or _default_path()).absolute()
    mode = 0o711 if os.geteuid() == 0 else 0o700
    try:
        if not path.exists():
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(mode)  # whatever the umask is
        if path.stat().st_mode & 0o002:
            raise RunFailed(f"{path} can be written by every user of this machine; chmod o-w it")
        home = Home(path=path)
        for folder in (home.data, home.spool, home.devices, home.trials):
            folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise RunFailed(
            f"cannot use the folder {path} ({error.strerror}); "
            "set TUNER_HOME to one that you may write"
        ) from error
    _check_locks(home)
    return home


def _check_locks(home: Home) -> None:
    """Check the locks: some network file systems refuse them, others grant one to two processes."""
    try:
        with _locked(home.path, fcntl.LOCK_EX):
            if not _is_locked(home.path):
                raise OSError("a lock that is held was given out again")
    except OSError as error:
        reason = error.strerror or str(error)
        raise RunFailed(
            f"locks do not work in {home.path} ({reason}), as on some network file systems; set "
            "TUNER_HOME to a folder on a disk of this machine"
        ) from error


def _default_path() -> Path:
    if os.geteuid() == 0:
        return Path("/var/lib/tuner")
    data_home = os.environ.get("XDG_DATA_HOME")
    try:
        return (Path(data_home) if data_home else Path.home() / ".local" / "share") / "tuner"
    except RuntimeError:  # neither HOME nor an entry in /etc/passwd, as of a random uid
        raise RunFailed(
            f"user {os.geteuid()} has no home folder on this machine; set TUNER_HOME to a folder "
            "that it may write"
        ) from None


class Spool:
    """A folder of this process for checkpoints on their way, which other processes leave alone."""

    def __init__(self, path: Path, lock: ExitStack) -> None:
        self.path = path
        self._lock = lock
        self._device = path.stat().st_dev

    def is_there(self) -> bool:
        return self.path.is_dir()

    def restore(self) -> None:
        """Create the folder again, on the same device; raises `CannotWork`."""
        check_device(self.path, self._device)
        try:
            open_home()
            # As in `open_spool`: another process removes a folder that nothing has locked yet.
            with _locked(self.path.parent, fcntl.LOCK_EX):
                self.path.mkdir(mode=0o700)
                self._lock.enter_context(_locked(self.path, fcntl.LOCK_SH))
        except (OSError, RunFailed) as error:
            raise CannotWork(f"{self.path} is gone and cannot be made again ({error})") from error


class DataFolder:
    def __init__(self, path: Path, prepare: Callable[[], None]) -> None:
        """Build it with `prepare`, which prepares the data again."""
        self.path = path
        self._prepare = prepare
        self._device = path.stat().st_dev

    def is_there(self) -> bool:
        return (self.path / "meta.json").exists()

    def restore(self) -> None:
        """Prepare the data again, on the same device; raises `CannotWork`."""
        check_device(self.path, self._device)
        try:
            open_home()
            self._prepare()
        except RunFailed as error:
            raise CannotWork(f"{self.path} is gone and cannot be made again: {error}") from error


def check_device(path: Path, device: int) -> None:
    """Raise `CannotWork` if a folder that is gone would be created on another device.

    An unmounted disk leaves an empty folder on the disk below, which must not be filled.
    """
    above = next(folder for folder in path.parents if folder.exists())
    if above.stat().st_dev != device:
        raise CannotWork(
            f"{path} is gone together with the disk that it was on; mount it again, or set "
            "TUNER_HOME to another folder"
        )


@contextmanager
def open_spool(
    home: Home, *, is_cleared: Callable[[Path], bool] = lambda folder: True
) -> Iterator[Spool]:
    """Open a folder of this process for checkpoints on their way; remove it at the end.

    The folders of killed processes, which hold no lock any more, are removed as well, if
    `is_cleared` reports that they are unused.
    """
    with _locked(home.spool, fcntl.LOCK_EX):
        for folder in home.spool.iterdir():
            # Held by its owner, being removed by it, or no folder of ours.
            mine = suppress(BlockingIOError, FileNotFoundError, NotADirectoryError)
            with mine, _locked(folder, fcntl.LOCK_EX | fcntl.LOCK_NB):
                if is_cleared(folder):
                    shutil.rmtree(folder, ignore_errors=True)
        path = Path(tempfile.mkdtemp(dir=home.spool))
        lock = ExitStack()
        lock.enter_context(_locked(path, fcntl.LOCK_SH))
    with lock:
        try:
            yield Spool(path, lock)
        finally:
            shutil.rmtree(path, ignore_errors=True)


def _is_locked(folder: Path) -> bool:
    """Return whether another descriptor has the lock."""
    try:
        with _locked(folder, fcntl.LOCK_EX | fcntl.LOCK_NB):
            return False
    except BlockingIOError:
        return True


@contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)
