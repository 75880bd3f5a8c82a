"""Clean streams: text from other sources cannot steer the terminal.

`main` replaces `sys.stdout` and `sys.stderr` by them, so that all lines of tuner, argparse,
warnings, logs and tracebacks pass through here. Code that draws a colour or a screen cleans its
text itself and writes to the `raw_stream`.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

_SUSPECT = re.compile(r"[^\t\n -~]")


class CleanStream:
    """A text stream that replaces control characters, except for tabs and line ends."""

    def __init__(self, stream: TextIO) -> None:
        self.raw_stream = stream

    def write(self, text: str) -> int:
        """Write like a text stream."""
        if _SUSPECT.search(text):
            from tuner.cli.text.words import clean_page  # noqa: PLC0415 - no help page needs it

            text = clean_page(text)
        self.raw_stream.write(text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write lines like a text stream."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        """Return any other attribute of the stream."""
        return getattr(self.raw_stream, name)


def clean_streams() -> None:
    """Let this process print through clean streams from now on."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(stream, CleanStream):
            setattr(sys, name, CleanStream(stream))


def raw_stream(stream: TextIO) -> TextIO:
    """Return the stream that takes escape sequences too."""
    return stream.raw_stream if isinstance(stream, CleanStream) else stream


@contextmanager
def raw_streams() -> Iterator[None]:
    """Let the user's own code, which runs in this process, print without changes."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = raw_stream(before[0]), raw_stream(before[1])
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def print_data(text: str) -> None:
    """Print a file's content byte by byte, except on a terminal."""
    stream = sys.stdout if sys.stdout.isatty() else raw_stream(sys.stdout)
    stream.write(text)
