"""The output of a program: its lines, and the part of it that goes to the log."""

import os
from collections import deque
from collections.abc import Callable
from time import monotonic

MAX_LINE = 1 << 16  # bytes of a line that are looked at
TAIL_LINES = 50
_LOG_BYTES = 1 << 16  # of one write to the log: more than the log keeps is left out
_LOG_SECONDS = 0.2
_SHOWN = 300  # characters of a line in a message


class Lines:
    """Cuts a stream of bytes into lines; a carriage return ends one as well."""

    def __init__(self) -> None:
        self._rest = b""
        self._is_long = False  # the line has been cut, and its rest is skipped

    def feed(self, chunk: bytes) -> list[str]:
        """Return the lines that a chunk completes; none is longer than `MAX_LINE` bytes."""
        *lines, rest = (self._rest + chunk.replace(b"\r", b"\n")).split(b"\n")
        if lines and self._is_long:
            lines, self._is_long = lines[1:], False
        self._rest = rest
        if len(rest) > MAX_LINE:
            lines += [] if self._is_long else [rest]
            self._rest, self._is_long = b"", True
        return [line[:MAX_LINE].decode(errors="replace") for line in lines if line]

    def finish(self) -> list[str]:
        """Return the last line if it has no end."""
        rest, self._rest = self._rest, b""
        return [rest.decode(errors="replace")] if rest and not self._is_long else []


class Log:
    """Passes output on to the worker's log, a bounded amount at a time."""

    def __init__(self, descriptor: int = 2, clock: Callable[[], float] = monotonic) -> None:
        self._descriptor = descriptor
        self._clock = clock
        self._pending = bytearray()
        self._n_left_out = 0
        self._written_at = self._added_at = 0.0
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)

    def add(self, chunk: bytes) -> None:
        """Add output; what no log would keep is left out."""
        self._pending += chunk
        self._added_at = self._clock()
        excess = len(self._pending) - _LOG_BYTES
        if excess > 0:
            del self._pending[:excess]
            self._n_left_out += excess
        self.flush_due()

    def flush_due(self) -> None:
        """Write the pending output if its time has come.

        An unbuffered program writes the end of a line by itself: a line without one waits for it a
        moment, so that nothing else gets into the line.
        """
        now = self._clock()
        is_whole = self._pending.endswith((b"\n", b"\r")) or now - self._added_at >= _LOG_SECONDS
        if self._pending and is_whole and now - self._written_at >= _LOG_SECONDS:
            self.flush()

    def note(self, line: str) -> None:
        """Remember a line for messages."""
        self._tail.append(line)

    def flush(self) -> None:
        """Write the pending output."""
        self._written_at = self._clock()
        if self._n_left_out:
            text = f"[{self._n_left_out:,} bytes of output are left out here]\n"
            self._pending[:0] = text.encode()
            self._n_left_out = 0
        pending, self._pending = bytes(self._pending), bytearray()
        while pending:
            pending = pending[os.write(self._descriptor, pending) :]

    @property
    def tail(self) -> tuple[str, ...]:
        """Return the last lines."""
        return tuple(self._tail)

    def last_lines(self, n: int) -> str:
        """Return the last lines as one, for a message."""
        lines = [line.strip()[:_SHOWN] for line in self._tail if line.strip()]
        return " | ".join(lines[-n:])
