"""The port to an object store. Only the agent and commands open one, workers never do."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from tuner.storage.objects.files import FileStore
from tuner.study_file.stores import Bucket, FolderStore, StoreLocation


class ObjectStore(Protocol):
    """Objects by key. Errors: `StoreFails`, for whatever prevents an answer."""

    @property
    def shown(self) -> str:
        """Return the location, as messages show it."""

    def put(self, key: str, source: Path) -> None:
        """Store a file: the object appears whole or not at all."""

    def read(self, key: str, n_bytes: int) -> Iterator[bytes]:
        """Yield an object of this size in pieces; raises `ObjectMissing` without one."""

    def remove(self, keys: Sequence[str]) -> None:
        """Remove objects; missing ones are no error."""

    def remove_below(self, prefix: str) -> None:
        """Remove all objects whose keys begin with the prefix, which ends with a slash."""


def open_store(location: StoreLocation, folder: Path) -> ObjectStore:
    """Open the store of a study file in `folder`; raises `StoreFails` without its library."""
    match location:
        case FolderStore(path=path):
            return FileStore(folder / path)
        case Bucket(service="s3"):
            from tuner.storage.objects import s3  # noqa: PLC0415 - an optional extra

            return s3.open_bucket(location)
        case Bucket():
            from tuner.storage.objects import gs  # noqa: PLC0415 - an optional extra

            return gs.open_bucket(location)
