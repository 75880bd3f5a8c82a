"""Whether the database answers, and how fast."""

from time import monotonic

from tuner.storage.connections.connection import Database
from tuner.storage.reading.rows import read_rows


def measure_round_trip(database: Database) -> float:
    """Return the seconds of the fastest of a few statements; raises `DatabaseError`."""
    times = []
    with database.reading() as connection:
        for _ in range(3):
            began = monotonic()
            read_rows(connection, "ping")
            times.append(monotonic() - began)
    return min(times)
