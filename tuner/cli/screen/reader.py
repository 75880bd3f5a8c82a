"""Reads a study again and again in a thread of its own, on a connection of its own."""

import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from tuner.cli.text.words import clean
from tuner.errors import NotFound, TunerError
from tuner.results.live import LiveStudy, load_live
from tuner.storage.connections.connection import Database

OpenDatabase = Callable[[], AbstractContextManager[Database]]


_LONGEST_PAUSE_SECONDS = 15.0
_PAUSE_PER_READING = 10  # a screen takes at most a tenth of a connection's time


def pause_seconds(every_seconds: float, took_seconds: float) -> float:
    """From one look at a study to the next: what was asked for, longer where looking is dear."""
    return max(every_seconds, min(_LONGEST_PAUSE_SECONDS, _PAUSE_PER_READING * took_seconds))


@dataclass(frozen=True, kw_only=True)
class Look:
    """The newest that is known of a study, and how old it is."""

    study: LiveStudy | None = None  # None: nothing was read yet
    seen_at: float = 0.0  # monotonic
    next_at: float = 0.0  # when the reader looks again
    error: str | None = None  # why nothing newer came; None: the last look succeeded
    is_gone: bool = False  # the study was deleted


@dataclass(kw_only=True)
class Trouble:
    """Why a command that looks repeatedly sees nothing new; each reason is shown once."""

    _shown: str = ""

    def show(self, error: TunerError) -> None:
        """On stderr, unless it was the last one."""
        if str(error) != self._shown:
            self._shown = str(error)
            print(clean(f"note: {error}; trying again"), file=sys.stderr, flush=True)


class LiveReader:
    """Never raises into its thread's end but for our own bugs: an outage is a `Look`."""

    def __init__(self, open_database: OpenDatabase, name: str, every_seconds: float = 1.0) -> None:
        self._open = open_database
        self._name = name
        self._every_seconds = every_seconds
        self._stopped = threading.Event()
        self.look = Look()
        self._thread = threading.Thread(target=self._run, name="screen-reader", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Read no more; returns soon, even while the database hangs."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(0.5)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                with self._open() as database:
                    while not self._stopped.is_set():
                        self._stopped.wait(self._read(database))
            except TunerError as error:  # it cannot be opened
                self._note(error)
                self._stopped.wait(self._every_seconds)

    def _read(self, database: Database) -> float:
        """Look once; returns the pause until the next look."""
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
