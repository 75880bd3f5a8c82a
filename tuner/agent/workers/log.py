"""The end of a worker's output, as a screen would finally show it."""

LOG_BYTES = 64 << 10  # kept of an attempt's output


class WorkerLog:
    """The end of an attempt's output; repeated writes of a progress bar count as one line.

    A line counts once it is complete: until then, a carriage return may replace it.
    """

    def __init__(self) -> None:
        self._lines = bytearray()
        self._open = b""  # the line that has no end yet
        self.n_bytes = 0  # of the attempt's complete lines

    def feed(self, text: bytes) -> None:
        *lines, rest = (self._open + text).split(b"\n")
        for line in lines:
            self._keep(_last_state(line) + b"\n")
        self._open = _last_state(rest) + (b"\r" if rest.endswith(b"\r") else b"")
        if len(self._open) > LOG_BYTES:
            self._keep(self._open)
            self._open = b""

    def finish(self) -> None:
        """Count the open line as well: nothing is printed after it."""
        self._keep(self._open.removesuffix(b"\r"))
        self._open = b""

    def clear(self) -> None:
        """Clear the log for another attempt."""
        self._lines.clear()
        self._open, self.n_bytes = b"", 0

    def text(self) -> str:
        """Return the end of the complete lines."""
        return self._lines.decode(errors="replace")

    def _keep(self, line: bytes) -> None:
        self._lines += line
        self.n_bytes += len(line)
        del self._lines[:-LOG_BYTES]


def _last_state(line: bytes) -> bytes:
    """Return the visible rest of a line after its carriage returns, except one at its end."""
    return line.rstrip(b"\r").rpartition(b"\r")[2]
