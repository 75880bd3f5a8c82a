"""Silent agents, detected with the observer's own clock alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from tuner import processes
from tuner.study.agents import AgentBeat


@dataclass(frozen=True, kw_only=True)
class Observation:
    """A heartbeat counter and the time since it stopped, on this agent's monotonic clock."""

    beat: int
    since: float


class Observer:
    """Compare the heartbeats from poll to poll.

    An agent is silent when its heartbeat stood still for the lease time and this observer's own
    polls had no gap meanwhile: no agent can send heartbeats during a database outage. On the same
    boot of the same machine an agent whose process has ended is silent as soon as its workers have
    ended too. Clocks are never compared.
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
        """Build an observer from two functions.

        `exists` returns whether a process of this machine lives. `end_workers` ends the remaining
        workers of an agent of this machine and returns whether none is left.
        """
        self._boot = boot
        self._lease_seconds = lease_seconds
        self._max_gap_seconds = max_gap_seconds
        self._exists = exists
        self._end_workers = end_workers
        self._seen: dict[UUID, Observation] = {}
        self._last_poll: float | None = None

    def note(self, others: Sequence[AgentBeat], now: float) -> list[AgentBeat]:
        """Take in a poll's answer; return the agents whose trials to take over."""
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
