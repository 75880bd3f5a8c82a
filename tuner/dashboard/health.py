"""Whether the database answers, for health checks and metrics."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from anyio import to_thread

from tuner.errors import DatabaseError
from tuner.storage.connections.connection import Database
from tuner.storage.reading.health import measure_round_trip

_HEALTH_SECONDS = 1.0  # between two questions to the database: anyone may ask for the health


@dataclass(kw_only=True)
class Health:
    """The last answer of the database."""

    database: Database
    clock: Callable[[], float] = time.monotonic
    round_trip_seconds: float | None = None  # None: it does not answer
    _at: float = float("-inf")
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def look(self) -> float | None:
        """Return the seconds of a round trip; None without an answer."""
        async with self._lock:
            if self.clock() - self._at > _HEALTH_SECONDS:
                try:
                    self.round_trip_seconds = await to_thread.run_sync(
                        measure_round_trip, self.database
                    )
                except DatabaseError:
                    self.round_trip_seconds = None
                self._at = self.clock()
            return self.round_trip_seconds
