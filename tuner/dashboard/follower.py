"""Followers of studies: one task per open study reads changes, however many pages are open."""

import asyncio
import gzip
import hashlib
import json
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from anyio import CapacityLimiter, to_thread

from tuner.errors import DatabaseAway, NotFound, RunFailed, TunerError
from tuner.results.board import Board, BoardReader
from tuner.results.figures.catalog import FigureMaker
from tuner.storage.connections.connection import Database

_log = logging.getLogger(__name__)
POLL_SECONDS = 1.0
_EFFORT = 4  # a poll that takes long is followed by a rest that is so many times as long
_MAX_STUDIES = 8  # that are kept in memory
_KEEP_SECONDS = 600.0
N_THREADS = 3
_BUG = "tuner made a mistake; the terminal of `tuner dashboard` shows it"


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A study with its figures, at one moment."""

    board: Board
    figures: Mapping[str, bytes]  # JSON by name
    hashes: Mapping[str, str]

    def packed(self, names: Sequence[str]) -> bytes:
        """Return some figures as one gzipped JSON object."""
        parts = [
            json.dumps(name).encode() + b":" + self.figures[name]
            for name in names
            if name in self.figures
        ]
        head = f'{{"version":{self.board.version},"figures":{{'.encode()
        return gzip.compress(head + b",".join(parts) + b"}}", 3)


@dataclass(kw_only=True, eq=False)
class Follower:
    name: str
    database: Database
    limiter: CapacityLimiter
    reader: BoardReader = field(init=False)
    maker: FigureMaker = field(default_factory=FigureMaker)
    drawn: Drawn | None = None
    fault: TunerError | None = None  # why the last look failed
    n_viewers: int = 0
    used_at: float = field(default_factory=time.monotonic)
    _looked_at: float = float("-inf")
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _task: "asyncio.Task[None] | None" = None
    _n_changes: int = 0

    def __post_init__(self) -> None:
        self.reader = BoardReader(name=self.name)

    async def look(self, max_age_seconds: float = POLL_SECONDS) -> Drawn:
        """Return the study as of now or a moment ago; raises `NotFound`, `DatabaseError`."""
        async with self._lock:
            self.used_at = time.monotonic()
            if self.drawn is None or self.used_at - self._looked_at > max_age_seconds:
                self.drawn = await to_thread.run_sync(self._draw, limiter=self.limiter)
                self._looked_at = time.monotonic()
            return self.drawn

    def _draw(self) -> Drawn:
        """Read and draw; call it in a thread."""
        board = self.reader.read(self.database)
        if self.drawn is not None and self.drawn.board is board:
            return self.drawn
        figures = {
            name: json.dumps(figure.as_json(), allow_nan=False, separators=(",", ":")).encode()
            for name, figure in self.maker.make(board).items()
        }
        hashes = {name: hashlib.sha256(text).hexdigest()[:12] for name, text in figures.items()}
        return Drawn(board=board, figures=figures, hashes=hashes)

    async def changes(self) -> AsyncIterator[Drawn | TunerError]:
        """Yield the study now, and after every change; an error when it cannot be read."""
        self.n_viewers += 1
        try:
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._follow(), name=f"follow {self.name}")
            seen = -1
            while True:
                async with self._changed:
                    while self._n_changes == seen:
                        await self._changed.wait()
                    seen = self._n_changes
                    news = self.fault or self.drawn
                if news is not None:
                    yield news
        finally:
            self.n_viewers -= 1

    async def _follow(self) -> None:
        """Read changes while a page is open."""
        while self.n_viewers:
            began = time.monotonic()
            before = (self.drawn, str(self.fault))
            try:
                await self.look(0.0)
                self.fault = None
            except (NotFound, DatabaseAway) as error:
                self.fault = error
            except TunerError as error:
                _log.warning("cannot read a study", extra={"study": self.name, "why": str(error)})
                self.fault = error
            except Exception:
                # A mistake of ours: pages that follow must not freeze without a word.
                _log.exception("cannot draw a study", extra={"study": self.name})
                self.fault = RunFailed(_BUG)
            if (self.drawn, str(self.fault)) != before or not self._n_changes:
                await self._tell()
            took = time.monotonic() - began
            await asyncio.sleep(max(POLL_SECONDS - took, took * (_EFFORT - 1), 0.05))

    async def _tell(self) -> None:
        async with self._changed:
            self._n_changes += 1
            self._changed.notify_all()

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()


@dataclass(kw_only=True)
class Followers:
    """The followers of open studies, and of a few that were open."""

    database: Database
    limiter: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(N_THREADS))
    clock: Callable[[], float] = time.monotonic
    _known: "OrderedDict[str, Follower]" = field(default_factory=OrderedDict)

    async def find(self, name: str) -> Follower:
        """Return the follower of an existing study; raises `NotFound`, `DatabaseError`."""
        follower = self._known.get(name)
        if follower is None:
            follower = Follower(name=name, database=self.database, limiter=self.limiter)
            await follower.look()  # a name that there is not is not kept
            follower = self._known.setdefault(name, follower)
        self._known.move_to_end(name)
        self._forget()
        return follower

    def _forget(self) -> None:
        for name, follower in list(self._known.items())[:-1]:
            is_old = self.clock() - follower.used_at > _KEEP_SECONDS
            if not follower.n_viewers and (is_old or len(self._known) > _MAX_STUDIES):
                follower.stop()
                del self._known[name]

    def close(self) -> None:
        """End all tasks."""
        for follower in self._known.values():
            follower.stop()
