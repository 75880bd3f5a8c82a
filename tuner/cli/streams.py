"""The streams of a command: whatever is printed, nothing that others wrote steers the terminal.

`main` puts them in the place of `sys.stdout` and `sys.stderr`, so that our own lines, those of
argparse, warnings, log lines and tracebacks all pass here. What draws on purpose, a colour or a
screen, cleans its text itself and writes to the `raw_stream`.
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
        """As of a text stream."""
        if _SUSPECT.search(text):
            from tuner.cli.text.words import clean_page  # noqa: PLC0415 - no help page needs it

            text = clean_page(text)
        self.raw_stream.write(text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """As of a text stream."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        """Everything else is the stream's."""
        return getattr(self.raw_stream, name)


def clean_streams() -> None:
    """Let this process print through clean streams from now on."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(stream, CleanStream):
            setattr(sys, name, CleanStream(stream))


def raw_stream(stream: TextIO) -> TextIO:
    """The stream that takes escape sequences too."""
    return stream.raw_stream if isinstance(stream, CleanStream) else stream


@contextmanager
def raw_streams() -> Iterator[None]:
    """Let the user's own code, which runs in this process, print what it likes."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = raw_stream(before[0]), raw_stream(before[1])
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def print_data(text: str) -> None:
    """Print a file's content: byte by byte what it is, except on a terminal."""
    stream = sys.stdout if sys.stdout.isatty() else raw_stream(sys.stdout)
    stream.write(text)
