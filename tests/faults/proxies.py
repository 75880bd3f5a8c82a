"""A proxy before Postgres that swallows one answer: it is done, and nobody hears of it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

_CHUNK = 1 << 16


@dataclass(eq=False)
class _Line:
    """One connection, both ways."""

    client: socket.socket
    server: socket.socket
    opened_by: bytes = b""  # the text that opened its transaction; empty outside of one
    is_doomed: bool = False  # the next answer is swallowed, and the connection closed

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
    _listener: socket.socket = field(default_factory=socket.socket)

    def start(self) -> int:
        """Listen; the port."""
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()
        return int(self._listener.getsockname()[1])

    def swallow(self, words: bytes) -> None:
        """The answer to the commit of the next transaction that is opened with these words, or to
        the next statement with them outside of one.
        """
        self._words = words

    def close(self) -> None:
        self._listener.close()
        for line in self._lines:
            line.close()

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
                threading.Thread(target=pump, args=(line,), daemon=True).start()

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
            self._words, line.is_doomed = None, True
        if is_commit:
            line.opened_by = b""

    def _answer(self, line: _Line) -> None:
        with suppress(OSError):
            while content := line.server.recv(_CHUNK):
                if line.is_doomed:
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
