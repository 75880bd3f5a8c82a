"""A proxy before Postgres that swallows one answer: it is done, and nobody hears of it."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

_CHUNK = 1 << 16


@dataclass(eq=False)
class _Line:
    """One connection, both ways."""

    client: socket.socket
    server: socket.socket
    opened_by: bytes = b""  # the text that opened its transaction; empty outside of one
    is_cut: bool = False  # the next answer is swallowed, and the connection closed

    def close(self) -> None:
        for end in (self.client, self.server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@dataclass(eq=False)
class Proxy:
    """`swallow` arms it; `n_swallowed` tells."""

    port: int  # of the server
    n_swallowed: int = 0
    _words: bytes | None = None
    _lines: list[_Line] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)
    _listener: socket.socket = field(default_factory=socket.socket)

    def start(self) -> int:
        """Listen; the port."""
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self._run(self._accept)
        return int(self._listener.getsockname()[1])

    def swallow(self, words: bytes) -> None:
        """The answer to the commit of the next transaction that is opened with these words, or to
        the next statement with them outside of one.
        """
        self._words = words

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()
        for line in self._lines:
            line.close()
        for thread in self._threads:
            thread.join(5)
        for line in self._lines:
            line.client.close()
            line.server.close()

    def _run(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.port))
            line = _Line(client, server)
            self._lines.append(line)
            for pump in (self._ask, self._answer):
                self._run(pump, line)

    def _ask(self, line: _Line) -> None:
        with suppress(OSError):
            while content := line.client.recv(_CHUNK):
                self._judge(line, content)
                line.server.sendall(content)
        line.close()

    def _judge(self, line: _Line, content: bytes) -> None:
        """A simple query: `Q`, four bytes of length, text."""
        text = content[5:] if content[:1] == b"Q" else b""
        is_commit = text.startswith((b"commit", b"rollback"))
        if text.startswith(b"begin"):
            line.opened_by = text
        asked = line.opened_by if is_commit else b"" if line.opened_by else text
        if self._words is not None and self._words in asked:
            self._words, line.is_cut = None, True
        if is_commit:
            line.opened_by = b""

    def _answer(self, line: _Line) -> None:
        with suppress(OSError):
            while content := line.server.recv(_CHUNK):
                if line.is_cut:
                    self.n_swallowed += 1
                    break
                line.client.sendall(content)
        line.close()


@contextmanager
def open_proxy(port: int) -> Iterator[tuple[Proxy, int]]:
    """A proxy before the server on this port of the loopback address, and its own port."""
    proxy = Proxy(port)
    try:
        yield proxy, proxy.start()
    finally:
        proxy.close()
