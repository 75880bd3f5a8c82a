"""Who has fallen silent, judged by one's own clock alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from tuner import processes
from tuner.study.agents import AgentBeat


@dataclass(frozen=True, kw_only=True)
class Observation:
    """A beat counter and since when it has stood still, on this agent's monotonic clock."""

    beat: int
    since: float


class Observer:
    """Compares what it sees from poll to poll.

    An agent is silent when its beat stood still for the lease time and this observer's own polls
    had no gap meanwhile: in a database outage nobody could beat. On the same boot of the same
    machine an agent whose process is gone is silent as soon as its workers are gone too. Clocks are
    never compared.
    """

    def __init__(
        self,
        *,
        boot: str,
        lease_seconds: float,
        max_gap_seconds: float,
        exists: Callable[[int], bool] = processes.exists,
        end_workers: Callable[[UUID], bool] = lambda agent_id: True,
    ) -> None:
        """`exists`: whether a process of this machine lives. `end_workers`: end what is left of the
        workers of an agent of this machine; whether nothing is.
        """
        self._boot = boot
        self._lease_seconds = lease_seconds
        self._max_gap_seconds = max_gap_seconds
        self._exists = exists
        self._end_workers = end_workers
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
        is_gone = other.boot == self._boot and not self._exists(other.pid)
        if is_gone and self._end_workers(other.agent_id):
            return True
        return now - self._seen[other.agent_id].since >= self._lease_seconds
