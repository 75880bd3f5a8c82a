"""Objects of checkpoints in a backup: entries of the archive, restored into the database.

A backup names no store: a restored database may have no right to write to the first one's.
"""

import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tuner.storage.connections.sessions import run
from tuner.storage.objects.keys import is_key
from tuner.storage.objects.own import read_first
from tuner.storage.objects.store import ObjectStore
from tuner.storage.work.spooled import read_chunks

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

_FOLDER = "objects/"


def copy_objects(
    cursor: "Cursor", archive: zipfile.ZipFile, stores: Mapping[str, ObjectStore]
) -> int:
    """Copy the objects that the rows of this snapshot name, and return how many were found.

    Agents continue meanwhile: an object that a newer one has replaced is missing, and its row then
    counts as damaged, as any row without its object does.
    """
    n_copied = 0
    for key, n_bytes in run(cursor, "objects", "object_keys", {}) if stores else ():
        pieces = read_first(stores, key, n_bytes)
        if pieces is None:
            continue
        with archive.open(_FOLDER + key, "w", force_zip64=True) as entry:
            for piece in pieces:
                entry.write(piece)
        n_copied += 1
    return n_copied


def restore_objects(cursor: "Cursor", archive: zipfile.ZipFile) -> None:
    """Move the content of the archive's objects into the database.

    Raises `EOFError` for an entry of another size than its row.
    """
    for info in archive.infolist():
        key = info.filename.removeprefix(_FOLDER)
        if not info.filename.startswith(_FOLDER) or not is_key(key):
            continue
        for checkpoint_id, n_bytes in run(cursor, "objects", "rows_of_object", {"object_key": key}):
            if info.file_size != n_bytes:
                raise EOFError(f"{info.filename} has {info.file_size} bytes instead of {n_bytes}")
            with archive.open(info) as entry:
                for part, chunk in enumerate(read_chunks(entry)):
                    params = {"checkpoint_id": checkpoint_id, "part": part, "content": chunk}
                    run(cursor, "report", "insert_chunk", params)
            run(cursor, "objects", "move_into_database", {"checkpoint_id": checkpoint_id})
