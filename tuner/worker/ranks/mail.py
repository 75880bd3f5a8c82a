"""The mail of a rank: messages to the worker, and answers for its lane."""

import select
import socket
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from tuner.messages import BadMessage, Continue, FromWorker, Stop, decode, encode
from tuner.worker.process import leave

_CHUNK = 65536


class Taker(Protocol):
    """The part of a lane that takes answers."""

    def take(self, message: Continue | Stop) -> None: ...


class SocketMail:
    """The first rank's: a socket of the worker."""

    def __init__(self, path: Path) -> None:
        self.taker: Taker | None = None
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(str(path))
        self._pending = b""
        self._is_open = True

    def send(self, message: FromWorker) -> None:
        """Send a message; end the process if the worker is gone."""
        try:
            self._socket.sendall(encode(message))
        except OSError:
            self.end()

    def deliver(self, wait_seconds: float) -> None:
        """Pass received answers to the lane, after waiting for at least one."""
        while self._is_open and select.select([self._socket], [], [], wait_seconds)[0]:
            content = self._socket.recv(_CHUNK)
            self._is_open = bool(content)
            *lines, self._pending = (self._pending + content).split(b"\n")
            for line in lines:
                with suppress(BadMessage):
                    message = decode(line)
                    if self.taker is not None and isinstance(message, Continue | Stop):
                        self.taker.take(message)
            wait_seconds = 0.0

    def end(self) -> None:
        """End the process."""
        leave(0)


class NoMail:
    """That of the other ranks, which learn everything from the first one."""

    def send(self, message: FromWorker) -> None:
        """Leave it to the first rank, which sends the same."""

    def deliver(self, wait_seconds: float) -> None:
        """Leave it to the first rank, which shares its answers."""

    def end(self) -> None:
        """End the process."""
        leave(0)
