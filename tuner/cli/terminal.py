"""What a stream can show, and what happens when it is gone."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


def has_colour(stream: TextIO) -> bool:
    """NO_COLOR and FORCE_COLOR, where one is set; else terminals have (no-color.org)."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or has_screen(stream)


def has_screen(stream: TextIO) -> bool:
    """Whether a live screen can be drawn on it."""
    return stream.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "")


@contextmanager
def end_printed(code: int) -> Iterator[int]:
    """Print the last words of a command with this exit code.

    The code stays if the terminal has closed meanwhile, and if a signal ended the command.
    """
    try:
        yield code
    except OSError as error:
        if code not in (130, 143) and error.errno != errno.EIO:
            raise
        drop_output()


def drop_output() -> None:
    """Discard what is still buffered: it would raise again when the interpreter ends."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            os.dup2(nothing, stream.fileno())
    os.close(nothing)
