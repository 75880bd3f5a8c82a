"""All studies, read at most every other second however many pages ask."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from anyio import to_thread

from tuner.dashboard import words
from tuner.results.overview import StudyGlance, load_overview
from tuner.results.progress import StudyState
from tuner.results.summary import StateShare
from tuner.storage.connections.connection import Database

_MAX_AGE_SECONDS = 2.0
_SPARK = (96.0, 22.0)


@dataclass(frozen=True, kw_only=True)
class StudyLine:
    """A row of the table of studies."""

    name: str
    goal: str
    best: float | None
    best_number: int | None
    standing: str  # ", confirmed", ", not confirmed" or empty
    spark: str  # points of an SVG line
    shares: Sequence[StateShare]
    n_final: int
    n_trials: int | None
    device_seconds: float
    last_at: datetime | None
    state: StudyState


@dataclass(kw_only=True)
class Overview:
    """The newest read of all studies."""

    database: Database
    clock: Callable[[], float] = time.monotonic
    _glances: Sequence[StudyGlance] = ()
    _lines: Sequence[StudyLine] = ()
    _at: float = float("-inf")
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def look(self) -> Sequence[StudyLine]:
        """Return the studies; raises `DatabaseError`."""
        await self.glances()
        return self._lines

    async def glances(self) -> Sequence[StudyGlance]:
        """Return the studies as they were read; raises `DatabaseError`."""
        async with self._lock:
            began = self.clock()
            if began - self._at > _MAX_AGE_SECONDS:
                self._glances = await to_thread.run_sync(load_overview, self.database)
                self._lines = [build_line(glance) for glance in self._glances]
                self._at = self.clock()
            return self._glances


def build_line(glance: StudyGlance) -> StudyLine:
    summary = glance.summary
    return StudyLine(
        name=summary.study.name,
        goal=f"{summary.study.direction} {summary.study.metric}",
        best=glance.best_value,
        best_number=glance.best_number,
        standing=f", {summary.standing}" if summary.standing else "",
        spark=words.spark_points([r.value for r in glance.records], *_SPARK),
        shares=summary.shares,
        n_final=summary.n_final,
        n_trials=summary.study.n_trials,
        device_seconds=summary.used.device_seconds,
        last_at=None if glance.last_at is None else datetime.fromtimestamp(glance.last_at, UTC),
        state=glance.state,
    )
