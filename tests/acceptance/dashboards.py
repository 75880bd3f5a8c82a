"""A `tuner dashboard` as a user starts it, and a browser that looks at it."""

import http.client
import json
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tests.acceptance.command import Tuner


@dataclass(frozen=True, kw_only=True)
class Page:
    """An answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """As text."""
        return self.body.decode()

    @property
    def json(self) -> Any:
        """As JSON."""
        return json.loads(self.body)


@dataclass(kw_only=True)
class Served:
    """One that is up."""

    process: "subprocess.Popen[str]"
    url: str  # with its token
    cookie: str = ""

    @property
    def root(self) -> str:
        """`http://127.0.0.1:PORT`."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def port(self) -> int:
        """Where it listens."""
        port = urlsplit(self.url).port
        assert port is not None
        return port

    def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: str = ""
    ) -> Page:
        """One request, with what was said and nothing more."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body or None, headers or {})
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Page(status=answer.status, headers=found, body=answer.read())
        finally:
            connection.close()

    def log_in(self) -> None:
        """The token for a cookie."""
        parts = urlsplit(self.url)
        answer = self.ask("GET", f"{parts.path}?{parts.query}")
        assert answer.status == 303, answer
        self.cookie = answer.headers["set-cookie"].split(";")[0]

    def get(self, path: str) -> Page:
        """As a browser that is logged in."""
        return self.ask("GET", path, {"cookie": self.cookie})

    def post(self, path: str, given: object, **changes: str) -> Page:
        """As the page does it; `changes` are headers, empty ones are left out."""
        headers = {"cookie": self.cookie, "content-type": "application/json",
                   "origin": self.root, "x-tuner-action": "1"}  # fmt: skip
        headers |= {name.replace("_", "-"): value for name, value in changes.items()}
        kept = {name: value for name, value in headers.items() if value}
        return self.ask("POST", path, kept, json.dumps(given))


@contextmanager
def open_dashboard(tuner: Tuner, *arguments: object, port: int = 0) -> Iterator[Served]:
    """Up and logged in, until the end of the block."""
    process = tuner.start("dashboard", *arguments, "--port", port)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert re.match(r"http://\S+\?token=\S+$", line), (line, process.poll())
        served = Served(process=process, url=line.strip())
        served.log_in()
        yield served
    finally:
        if process.poll() is None:
            tuner.stop(process, signal.SIGINT)
