"""The folder on this machine where tuner keeps what is its own."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tuner.errors import RunFailed


@dataclass(frozen=True, kw_only=True)
class Home:
    """`TUNER_HOME`: the embedded server, prepared data, and the spool of checkpoints."""

    path: Path

    @property
    def server(self) -> Path:
        """Everything of the embedded Postgres."""
        return self.path / "postgres"

    @property
    def data(self) -> Path:
        """Prepared arrays, one folder per data set and preparation."""
        return self.path / "data"

    @property
    def spool(self) -> Path:
        """Checkpoints on their way to the database."""
        return self.path / "spool"

    @property
    def trials(self) -> Path:
        """Folders that users' functions write to (`trial.dir`)."""
        return self.path / "trials"


def open_home() -> Home:
    """The folder, made if need be, closed to other users.

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
        for folder in (home.data, home.spool, home.trials):
            folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise RunFailed(
            f"cannot use the folder {path} ({error.strerror}); "
            "set TUNER_HOME to one that you may write"
        ) from error
    return home


def _default_path() -> Path:
    if os.geteuid() == 0:
        return Path("/var/lib/tuner")
    data_home = os.environ.get("XDG_DATA_HOME")
    return (Path(data_home) if data_home else Path.home() / ".local" / "share") / "tuner"


@contextmanager
def open_spool(
    home: Home, *, is_cleared: Callable[[Path], bool] = lambda folder: True
) -> Iterator[Path]:
    """A folder of this process for checkpoints on their way; removed at the end.

    The folders of processes that were killed, which hold no lock any more, are removed as well, if
    `is_cleared` says that nothing uses them.
    """
    with _locked(home.spool, fcntl.LOCK_EX):
        for folder in home.spool.iterdir():
            # Held by its owner, being removed by it, or no folder of ours.
            mine = suppress(BlockingIOError, FileNotFoundError, NotADirectoryError)
            with mine, _locked(folder, fcntl.LOCK_EX | fcntl.LOCK_NB):
                if is_cleared(folder):
                    shutil.rmtree(folder, ignore_errors=True)
        spool = Path(tempfile.mkdtemp(dir=home.spool))
        lock = ExitStack()
        lock.enter_context(_locked(spool, fcntl.LOCK_SH))
    with lock:
        try:
            yield spool
        finally:
            shutil.rmtree(spool, ignore_errors=True)


@contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)
