"""Reads a study periodically in a thread of its own, on a connection of its own."""

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from tuner.cli.text.words import clean
from tuner.errors import NotFound, TunerError
from tuner.helper_thread import HelperThread
from tuner.results.live import LiveStudy, load_live
from tuner.storage.connections.connection import Database

OpenDatabase = Callable[[], AbstractContextManager[Database]]


_MAX_PAUSE_SECONDS = 15.0
_PAUSE_PER_READING = 10  # a screen takes at most a tenth of a connection's time


def pause_seconds(every_seconds: float, took_seconds: float) -> float:
    """Return the pause between reads of a study: as requested, or longer if reads are slow."""
    return max(every_seconds, min(_MAX_PAUSE_SECONDS, _PAUSE_PER_READING * took_seconds))


@dataclass(frozen=True, kw_only=True)
class Look:
    """The newest data of a study, and their age."""

    study: LiveStudy | None = None  # None: nothing was read yet
    seen_at: float = 0.0  # monotonic
    next_at: float = 0.0  # when the reader looks again
    error: str | None = None  # why nothing newer came; None: the last look succeeded
    is_gone: bool = False  # the study was deleted


@dataclass(kw_only=True)
class Trouble:
    """Why a command that reads repeatedly gets no new data; each reason is shown once."""

    _shown: str = ""

    def show(self, error: TunerError) -> None:
        """Print it on stderr, unless it was the last one."""
        if str(error) != self._shown:
            self._shown = str(error)
            print(clean(f"note: {error}; trying again"), file=sys.stderr, flush=True)


class LiveReader(HelperThread):
    """Reads until it is stopped; an outage of the database is a `Look`."""

    def __init__(self, open_database: OpenDatabase, name: str, every_seconds: float = 1.0) -> None:
        super().__init__("screen-reader")
        self._open = open_database
        self._name = name
        self._every_seconds = every_seconds
        self.look = Look()

    def stop(self) -> None:
        """Stop reading; return soon, even while the database hangs."""
        super().stop()
        self.join(0.5)

    def work(self) -> float:
        """Open the database and read, until it is stopped or cannot be opened."""
        try:
            with self._open() as database:
                while not self.is_stopped:
                    self.pause(self._read(database))
        except TunerError as error:
            self._note(error)
        return self._every_seconds

    def _read(self, database: Database) -> float:
        """Read once; return the pause until the next read."""
        began = time.monotonic()
        try:
            study = load_live(database, self._name)
        except TunerError as error:
            self._note(error)
            return self._every_seconds
        now = time.monotonic()
        pause = pause_seconds(self._every_seconds, now - began)
        self.look = Look(study=study, seen_at=now, next_at=now + pause)
        return pause

    def _note(self, error: TunerError) -> None:
        self.look = Look(
            study=self.look.study,
            seen_at=self.look.seen_at,
            next_at=self.look.next_at,
            error=str(error).splitlines()[0],
            is_gone=isinstance(error, NotFound),
        )
