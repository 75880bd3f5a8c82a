"""Objects as files in a folder that the machines share. No link below the folder is followed."""

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tuner.errors import ObjectMissing, StoreFails

_PIECE_BYTES = 1 << 20
_MISSING = (errno.ENOENT, errno.ELOOP, errno.ENOTDIR)
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class FileStore:
    """See `tuner.storage.objects.store.ObjectStore`."""

    def __init__(self, root: Path) -> None:
        """Use a folder, which is created at the first object (0700)."""
        self._root = root

    @property
    def shown(self) -> str:
        return f"file:{self._root}"

    def put(self, key: str, source: Path) -> None:
        """Copy a file: synced, then renamed. Raises `ObjectMissing` only if it is not there."""
        *folders, name = key.split("/")
        try:
            opened = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise ObjectMissing(f"{source} is gone") from error
        with (
            os.fdopen(opened, "rb") as read,
            self._errors(is_new=True),
            self._opened(folders, is_new=True) as folder,
        ):
            unfinished = f".{secrets.token_hex(8)}"
            try:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                descriptor = os.open(unfinished, flags, 0o600, dir_fd=folder)
                with os.fdopen(descriptor, "wb") as written:
                    shutil.copyfileobj(read, written, _PIECE_BYTES)
                    written.flush()
                    os.fsync(written.fileno())
                os.rename(unfinished, name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                with suppress(OSError):
                    os.unlink(unfinished, dir_fd=folder)
                raise
            os.fsync(folder)

    def read(self, key: str, n_bytes: int) -> Iterator[bytes]:
        """Yield the content of a regular file."""
        *folders, name = key.split("/")
        with self._errors(), self._opened(folders) as folder:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            with os.fdopen(os.open(name, flags, dir_fd=folder), "rb") as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode) or status.st_size != n_bytes:
                    raise ObjectMissing(f"{self.shown}/{key} is not the file that was written")
                while piece := file.read(_PIECE_BYTES):
                    yield piece

    def remove(self, keys: Sequence[str]) -> None:
        for key in keys:
            *folders, name = key.split("/")
            with suppress(ObjectMissing), self._errors(), self._opened(folders) as folder:
                os.unlink(name, dir_fd=folder)

    def remove_below(self, prefix: str) -> None:
        *folders, name = prefix.rstrip("/").split("/")
        with suppress(ObjectMissing), self._errors(), self._opened(folders) as folder:
            shutil.rmtree(name, dir_fd=folder)  # which follows no link either

    @contextmanager
    def _opened(self, folders: Sequence[str], *, is_new: bool = False) -> Iterator[int]:
        """Open a folder below the root, part by part; `is_new`: create what is missing."""
        if is_new:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if os.fstat(descriptor).st_mode & stat.S_IWOTH:
                raise StoreFails(
                    f"every user of this machine can write to {self._root}, and so replace a "
                    f"checkpoint; run: chmod o-w {self._root}"
                )
            for part in folders:
                if is_new:
                    with suppress(FileExistsError):
                        os.mkdir(part, 0o700, dir_fd=descriptor)
                        os.fsync(descriptor)
                below = os.open(part, _FOLDER, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = below
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def _errors(self, *, is_new: bool = False) -> Iterator[None]:
        """Translate errors; `is_new`: of an object that is being created, so not missing."""
        try:
            yield
        except OSError as error:
            if error.errno in _MISSING and not is_new:
                raise ObjectMissing(
                    f"the checkpoint store {self.shown} has no such object, or a link in its place"
                ) from error
            raise StoreFails(
                f"the checkpoint store {self.shown}: {error.strerror or error}"
            ) from error
