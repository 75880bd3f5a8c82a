"""Files in the spool of this machine, in pieces: they may be larger than the memory."""

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, BinaryIO

from tuner.study.checkpoint import SavedFile

CHUNK_BYTES = 1 << 20


@contextmanager
def open_intact(files: Iterable[SavedFile]) -> Iterator[Mapping[SavedFile, BinaryIO]]:
    """Open the files that are as the worker wrote them; they stay readable when they are removed.

    If one is changed from now on, the stored hash shows it.
    """
    with ExitStack() as stack:
        opened = {}
        for saved in files:
            with suppress(OSError):
                file = stack.enter_context(open(saved.path, "rb"))
                if hashlib.file_digest(file, "sha256").hexdigest() == saved.sha256:
                    file.seek(0)
                    opened[saved] = file
        yield opened


def read_chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(CHUNK_BYTES):
        yield chunk


def write_resumed(spool: Path, number: int, chunks: Iterable[bytes], sha256: str) -> str | None:
    """Write a file to resume from and return its path; None, and no file, for another hash.

    Raises `OSError` if there is no room.
    """
    # Not a worker's own name for its files: those are written and removed independently.
    descriptor, path = tempfile.mkstemp(dir=spool, prefix=f"resume-{number}-")
    is_good = False
    try:
        found = hashlib.sha256()
        with os.fdopen(descriptor, "wb") as file:
            for chunk in chunks:
                found.update(chunk)
                file.write(chunk)
        is_good = found.hexdigest() == sha256
    finally:
        if not is_good:
            with suppress(FileNotFoundError):
                os.unlink(path)
    return path if is_good else None
