"""Rows of checkpoints under the fence, with their content in the database or in a store."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO
from uuid import UUID

from tuner.storage.connections.sessions import run
from tuner.storage.work.spooled import open_intact, read_chunks
from tuner.storage.work.uploads import Uploads
from tuner.study.checkpoint import SavedFile
from tuner.study.trial import AttemptKey

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

Content = BinaryIO | str  # an open file for the database, or the key of an object


@dataclass(frozen=True, kw_only=True)
class Register:
    """Stores checkpoints of an agent."""

    study_id: int
    me: UUID
    keep: int  # checkpoints of a trial
    uploads: Uploads | None  # None: the content goes into the database

    @contextmanager
    def contents(self, files: Sequence[SavedFile]) -> Iterator[Mapping[SavedFile, Content]]:
        """Prepare the files that are as the worker wrote them; the others are left out."""
        if self.uploads is None:
            with open_intact(files) as opened:
                yield opened
            return
        keys = {saved: self.uploads.try_upload(saved) for saved in files}
        yield {saved: key for saved, key in keys.items() if key is not None}

    def store(self, cursor: "Cursor", saved: SavedFile, content: Content) -> list[str]:
        """Store a checkpoint and point the lease to it, if this agent still holds the lease.

        Return the keys of the checkpoints that it replaces.
        """
        own = {
            "study_id": self.study_id,
            "me": self.me,
            "number": saved.key.number,
            "attempt": saved.key.attempt,
        }
        about = {
            "step": saved.step,
            "sha256": saved.sha256,
            "n_bytes": saved.n_bytes,
            "object_key": content if isinstance(content, str) else None,
        }
        created = run(cursor, "report", "insert_checkpoint", {**own, **about})
        if not created:
            return []
        ((checkpoint_id,),) = created
        if not isinstance(content, str):
            for part, chunk in enumerate(read_chunks(content)):
                params = {"checkpoint_id": checkpoint_id, "part": part, "content": chunk}
                run(cursor, "report", "insert_chunk", params)
        kept = {"checkpoint_id": checkpoint_id, "keep": self.keep}
        replaced = run(cursor, "report", "point_to_checkpoint", {**own, **kept})
        return [key for (key,) in replaced]

    def committed(self, saved: Collection[SavedFile], replaced: Sequence[str]) -> None:
        """Remove the objects of replaced checkpoints."""
        if self.uploads is not None:
            self.uploads.registered(saved, replaced)

    def ended(self, keys: Collection[AttemptKey], finished: Collection[int]) -> None:
        """Remove the objects of finished trials."""
        if self.uploads is not None:
            self.uploads.ended(keys, finished)
