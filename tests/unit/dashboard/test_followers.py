"""Following a study goes on, whatever reading or drawing it raises."""

import asyncio

from anyio import CapacityLimiter

from tuner.dashboard import follower as module
from tuner.dashboard.follower import Follower
from tuner.errors import DatabaseAway, RunFailed


class Failing:
    """A mistake of ours first, then an outage."""

    def __init__(self) -> None:
        self.n_reads = 0

    def read(self, _):
        self.n_reads += 1
        if self.n_reads == 1:
            raise ZeroDivisionError("secret")
        raise DatabaseAway("away")


async def _two_news() -> list[Exception]:
    follower = Follower(name="plain", database=None, limiter=CapacityLimiter(1))
    follower.reader = Failing()
    found, changes = [], follower.changes()
    async for news in changes:
        found.append(news)
        if len(found) == 2:
            break
    await changes.aclose()
    follower.stop()
    return found


def test_a_mistake_of_ours_is_told_and_does_not_end_the_following(monkeypatch, caplog):
    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)
    first, second = asyncio.run(asyncio.wait_for(_two_news(), 60))
    assert isinstance(first, RunFailed)
    assert "secret" not in str(first)
    assert str(second) == "away"
    assert "cannot draw a study" in caplog.text
