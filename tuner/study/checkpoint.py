"""Resumable training state."""

from dataclasses import dataclass

from tuner.study.trial import AttemptKey

FOLDER_MARK = b"tuner-folder-1\n"  # the first bytes of a checkpoint that holds a folder
MAX_STORED_BYTES = 1 << 30  # of a checkpoint in the database


@dataclass(frozen=True, kw_only=True)
class SavedFile:
    """A checkpoint that a worker has written to this machine's spool."""

    key: AttemptKey
    step: int  # the last step it contains
    path: str
    sha256: str
    n_bytes: int


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A registered checkpoint, from which the next attempt continues."""

    checkpoint_id: int
    step: int
    sha256: str
    n_bytes: int
