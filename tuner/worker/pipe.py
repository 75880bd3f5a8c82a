"""The two descriptors that connect a worker with its agent."""

import logging
import os
import sys
import threading
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import NoReturn

from tuner.messages import (
    BadMessage,
    Continue,
    FromWorker,
    Setup,
    Start,
    Stop,
    ToWorker,
    decode,
    encode,
)

log = logging.getLogger(__name__)

MAX_LINE_BYTES = 1_000_000
_CHUNK_BYTES = 65536


class Terminated:
    """SIGTERM has arrived: release all lanes, then leave."""


class Pipe:
    """Messages in both directions; when the agent is gone, the process ends at once."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self._read_fd = read_fd
        self._write_fd = write_fd
        self._inbox: SimpleQueue[ToWorker | Terminated] = SimpleQueue()
        self._sending = threading.Lock()

    def start(self) -> None:
        """Begin to read in a thread; a blocked read does not slow training."""
        threading.Thread(target=self._read, name="pipe", daemon=True).start()

    def terminate(self) -> None:
        """Put `Terminated` behind the received messages; safe in a signal handler."""
        self._inbox.put(Terminated())

    def send(self, message: FromWorker) -> None:
        """Send a message; safe in any thread."""
        line = encode(message)
        try:
            with self._sending:
                while line:
                    line = line[os.write(self._write_fd, line) :]
        except OSError:
            leave_at_once()

    def receive(self, timeout_seconds: float | None) -> ToWorker | Terminated | None:
        """Return the next message, or None after the timeout; None as timeout waits without end."""
        try:
            return self._inbox.get(timeout=timeout_seconds)
        except Empty:
            return None

    def poll(self) -> ToWorker | Terminated | None:
        """Return the next message if there is one."""
        try:
            return self._inbox.get_nowait()
        except Empty:
            return None

    def end(self) -> None:
        """End the process, whatever the user's code does; its output is flushed."""
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # the user's code may have closed it
                stream.flush()
        leave_at_once()

    def _read(self) -> None:
        lines = LineCutter()
        while True:
            try:
                chunk = os.read(self._read_fd, _CHUNK_BYTES)
            except OSError:
                chunk = b""
            if not chunk:
                leave_at_once()
            for line in lines.feed(chunk):
                message = message_in(line)
                if message is not None:
                    self._inbox.put(message)


class LineCutter:
    """Cuts a stream of bytes into lines; a line that is too long is skipped to its end."""

    def __init__(self) -> None:
        self._rest = b""
        self._is_skipping = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the lines that this chunk completes, without their ends."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if self._is_skipping and lines:
            lines, self._is_skipping = lines[1:], False
        if len(self._rest) > MAX_LINE_BYTES or self._is_skipping:
            if not self._is_skipping:
                log.warning("skipped a line from the agent that is longer than 1 MB")
            self._rest, self._is_skipping = b"", True
        return lines


def message_in(line: bytes) -> ToWorker | None:
    """Return the agent's message in a line; log any other text and return None."""
    try:
        message = decode(line)
    except (BadMessage, RecursionError):
        log.warning("ignored a line from the agent that is not a message: %.200r", line)
        return None
    if isinstance(message, Setup | Start | Continue | Stop):
        return message
    log.warning("ignored a message that agents do not send: %s", type(message).__name__)
    return None


def leave_at_once() -> NoReturn:
    """End the process without running any of the user's code."""
    os._exit(0)
