"""Agents as other agents see them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

from tuner.study.code import Code
from tuner.study.fleet import Drain


@dataclass(frozen=True, kw_only=True)
class AgentIdentity:
    agent_id: UUID
    host: str
    boot: str  # boot id and pid namespace: within one of these, pids can be compared
    pid: int
    devices: Sequence[str]
    code: Code = field(default_factory=dict)  # versions and devices that it trains with
    about: Mapping[str, Any] = field(default_factory=dict)  # packages, git commit, devices
    memory_bytes: int | None = None  # of the largest device


@dataclass(frozen=True, kw_only=True)
class AgentBeat:
    """An agent's heartbeat counter, as last read."""

    agent_id: UUID
    beat: int
    host: str
    boot: str
    pid: int


@dataclass(frozen=True, kw_only=True)
class Telemetry:
    """State of an agent, sent with each heartbeat."""

    seconds_lived: float
    device_seconds_busy: float
    screen: str = "{}"  # JSON for live screens: state, lanes, alerts
    given_up: frozenset[str] = frozenset()  # places whose devices it does not use for now


@dataclass(frozen=True, kw_only=True)
class DeviceHolder:
    """The agent that uses a GPU."""

    agent_id: UUID
    study: str
    host: str
    boot: str
    pid: int

    def __str__(self) -> str:
        return f"in use by an agent of study {self.study!r} ({self.host}, pid {self.pid})"


class Desired(StrEnum):
    """The desired state of a study."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    HALTED = "halted"  # after too many failures: trials are released, agents leave


@dataclass(frozen=True, kw_only=True)
class Pulse:
    """The answer to a heartbeat."""

    others: Sequence[AgentBeat]  # the agents that hold trials, oneself excluded
    desired: Desired = Desired.RUNNING
    reason: str | None = None  # why it is not running
    limit_trials: int | None = None  # the budget, which may have been extended
    seconds_left: float | None = None  # until the budget's time is used up; None: no such limit
    drains: Sequence[Drain] = ()  # of this machine
    max_other_bytes: int | None = None  # of the largest device of the other agents
