"""Objects of a database outside of an agent's work: deletion, backup, and a look at the store."""

import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tuner.errors import ObjectMissing, StoreFails
from tuner.storage.connections.connection import Database
from tuner.storage.connections.sessions import Session
from tuner.storage.objects.keys import build_key, is_key, study_prefix
from tuner.storage.objects.store import ObjectStore, open_store
from tuner.study.trial import AttemptKey
from tuner.study_file.load import load_study_file
from tuner.study_file.stores import parse_store


@dataclass(frozen=True, kw_only=True)
class OutsideObjects:
    """The objects that the rows of a study, or of a database, name."""

    prefix: str  # of the study's keys
    n_objects: int


def open_store_of(path: Path) -> ObjectStore | None:
    """Open the store of a study file; None for the database. Raises `StoreFails`."""
    loaded = load_study_file(path)
    location = parse_store(loaded.spec.checkpoints.store)
    return None if location is None else open_store(location, loaded.folder)


def find_objects(database: Database, study_id: int | None = None) -> OutsideObjects:
    """Count the objects of a study, or of all studies."""
    session = Session(database)
    try:
        ((database_id, n_objects),) = session.rows(
            "objects", "count_objects", {"study_id": study_id}
        )
    finally:
        session.close()
    prefix = study_prefix(database_id, study_id) if study_id is not None else f"{database_id}/"
    return OutsideObjects(prefix=prefix, n_objects=n_objects)


def check_store(store: ObjectStore) -> None:
    """Write, read and remove an object; raises `StoreFails`."""
    database_id = uuid.uuid4()
    key = build_key(database_id, 0, AttemptKey(number=0, attempt=0), 0)
    try:
        store.put(key, Path("/dev/null"))
        list(store.read(key, 0))
        store.remove([key])
    except ObjectMissing as error:
        raise StoreFails(str(error)) from error
    with suppress(StoreFails):  # empty folders are no reason to refuse a store
        store.remove_below(f"{database_id}/")


def read_first(stores: Mapping[str, ObjectStore], key: str, n_bytes: int) -> Iterator[bytes] | None:
    """Return the pieces of an object from the first store that has it; None without one."""
    for store in stores.values() if is_key(key) else ():
        pieces = store.read(key, n_bytes)
        try:
            first = next(pieces, b"")
        except ObjectMissing:
            continue
        return _joined(first, pieces)
    return None


def _joined(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest
