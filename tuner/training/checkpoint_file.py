"""Checkpoint files of both formats: a tree of values, or the files of a folder."""

from dataclasses import dataclass
from pathlib import Path


class BadCheckpoint(Exception):
    """A checkpoint file cannot be read, or has the wrong content."""


@dataclass(frozen=True, kw_only=True)
class CheckpointFile:
    """A checkpoint on disk, synced."""

    path: Path
    sha256: str
    n_bytes: int
