"""Reconnects: once a connection has been accepted, a refusal counts as an outage."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock

from tuner.errors import DatabaseRefused

PAUSE_SECONDS = 30.0  # servers may lock out a client that tries too often
# A second try alone changes nothing: the client or the server has to be set up otherwise.
_REFUSED = re.compile(
    r"password authentication failed|no pg_hba.conf entry|does not exist|no password supplied"
    r"|authentication failed|permission denied|server does not support SSL|certificate"
    r"|definition of service|invalid connection option|invalid sslmode|invalid port"
    r"|not permitted to log in|not currently accepting connections|no such (user|database)"
    r"|unsupported startup parameter"
)
# Answers of a server, or a pooler, while the server starts, stops or is unreachable.
_PASSING = re.compile(
    r"starting up|shutting down|recovery|not yet accepting|cannot connect to server"
    r"|server.login|query_wait_timeout|conn crashed|terminating connection"
)


def is_refusal(text: str) -> bool:
    """Return whether libpq's message refuses this user on this machine in principle."""
    return _REFUSED.search(text) is not None


def is_answer(text: str) -> bool:
    """Return whether a running server has refused, in any language or for lack of room."""
    return is_refusal(text) or ("FATAL" in text and not _PASSING.search(text))


@dataclass(kw_only=True)
class Reconnects:
    """State of the connections to one URL in this process, shared by its threads."""

    clock: Callable[[], float] = time.monotonic
    has_connected: bool = False
    _refusal: str | None = None
    _not_before: float = float("-inf")
    _lock: Lock = field(default_factory=Lock)

    def admit(self) -> None:
        """Raise `DatabaseRefused` without an attempt if the last refusal is too recent."""
        with self._lock:
            if self._refusal is None:
                return
            if self.clock() < self._not_before:
                raise DatabaseRefused(self._refusal)
            self._not_before = self.clock() + PAUSE_SECONDS  # this attempt is the one

    def succeed(self) -> None:
        """Note an accepted connection."""
        with self._lock:
            self.has_connected, self._refusal = True, None

    def fail(self, text: str, *, is_refusal: bool) -> None:
        """Note a failed attempt; raises `DatabaseRefused` for a refusal after an acceptance."""
        with self._lock:
            if not self.has_connected:
                return
            if not is_refusal:
                self._refusal = None  # away again: a restart needs no long pause
                return
            self._refusal = text
            self._not_before = self.clock() + PAUSE_SECONDS
        raise DatabaseRefused(text)
