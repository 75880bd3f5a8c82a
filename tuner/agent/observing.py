"""Who has fallen silent, judged by one's own clock alone."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from tuner.study.fleet import AgentBeat


@dataclass(frozen=True, kw_only=True)
class Observation:
    """A beat counter and since when it has stood still, on this agent's monotonic clock."""

    beat: int
    since: float


def process_exists(pid: int) -> bool:
    """Whether a process of this machine (and pid namespace) lives."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class Observer:
    """Compares what it sees from poll to poll.

    An agent is silent when its beat stood still for the lease time and this observer's own polls
    had no gap meanwhile: in a database outage nobody could beat. On the same boot of the same
    machine a dead process is silent at once. Clocks are never compared.
    """

    def __init__(
        self,
        *,
        boot: str,
        lease_seconds: float,
        max_gap_seconds: float,
        exists: Callable[[int], bool] = process_exists,
    ) -> None:
        self._boot = boot
        self._lease_seconds = lease_seconds
        self._max_gap_seconds = max_gap_seconds
        self._exists = exists
        self._seen: dict[UUID, Observation] = {}
        self._last_poll: float | None = None

    def note(self, others: Sequence[AgentBeat], now: float) -> list[AgentBeat]:
        """Take in a poll's answer; returns the agents to take trials from."""
        if self._last_poll is None or now - self._last_poll > self._max_gap_seconds:
            self._seen.clear()
        self._last_poll = now
        seen: dict[UUID, Observation] = {}
        for other in others:
            before = self._seen.get(other.agent_id)
            is_still = before is not None and before.beat == other.beat
            seen[other.agent_id] = (
                before if before and is_still else Observation(beat=other.beat, since=now)
            )
        self._seen = seen
        return [other for other in others if self._is_silent(other, now)]

    def _is_silent(self, other: AgentBeat, now: float) -> bool:
        if other.boot == self._boot and not self._exists(other.pid):
            return True
        return now - self._seen[other.agent_id].since >= self._lease_seconds
