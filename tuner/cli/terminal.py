"""Capabilities of a stream, and output after it has closed."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


def has_colour(stream: TextIO) -> bool:
    """Return whether to use colour:

    NO_COLOR or FORCE_COLOR if set, else for terminals (no-color.org).
    """
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or has_screen(stream)


def has_screen(stream: TextIO) -> bool:
    """Return whether a live screen can be drawn on it."""
    return stream.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "")


@contextmanager
def end_printed(code: int) -> Iterator[int]:
    """Print a command's final lines with this exit code.

    The code stays if the terminal has closed meanwhile, and if a signal ended the command.
    """
    try:
        yield code
    except OSError as error:
        if code not in (130, 143) and error.errno != errno.EIO:
            raise
        drop_output()


def drop_output() -> None:
    """Discard buffered output: it would raise again when the interpreter ends."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            os.dup2(nothing, stream.fileno())
    os.close(nothing)
