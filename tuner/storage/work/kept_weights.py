"""Weights of the best trials: stored with a trial's end, dropped with a better one's."""

from typing import TYPE_CHECKING, BinaryIO
from uuid import UUID

from tuner.storage.connections.sessions import run
from tuner.storage.work.spooled import read_chunks
from tuner.study.checkpoint import SavedFile

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor


def keep_weights(
    cursor: "Cursor",
    study_id: int,
    me: UUID,
    saved: SavedFile,
    content: BinaryIO,
    *,
    n_best: int,
    minimize: bool,
) -> None:
    """Store weights in the transaction of a trial's end if it is among the best; drop others."""
    if n_best == 0:
        return
    rank = {"study_id": study_id, "minimize": minimize, "n_best": n_best}
    about = {
        "me": me,
        "number": saved.key.number,
        "attempt": saved.key.attempt,
        "step": saved.step,
        "sha256": saved.sha256,
        "n_bytes": saved.n_bytes,
    }
    created = run(cursor, "end", "insert_weights", {**rank, **about})
    if not created:
        return
    ((weights_id,),) = created
    for part, chunk in enumerate(read_chunks(content)):
        params = {"weights_id": weights_id, "part": part, "content": chunk}
        run(cursor, "end", "insert_weights_chunk", params)
    run(cursor, "end", "trim_weights", rank)
