"""What can happen to an agent."""

import queue
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tuner.agent.memory import Memory
from tuner.errors import DatabaseAway, DatabaseRefused, TunerError
from tuner.messages import FromWorker
from tuner.study.agents import AgentBeat, Pulse
from tuner.study.feed import Changes
from tuner.study.lease import Batch, Claimed, End
from tuner.study.trial import AttemptKey


@dataclass(frozen=True, kw_only=True)
class WorkerSaid:
    """A message from a worker."""

    worker: int  # its process id
    message: FromWorker
    tail: str = ""  # with what ends a trial: the end of what was printed,
    n_bytes: int = 0  # and how much that was in all


@dataclass(frozen=True, kw_only=True)
class WorkerGone:
    """A worker process has ended."""

    worker: int
    exit_code: int  # negative: the signal that ended it
    tail: str  # the end of what was printed,
    n_bytes: int = 0  # and how much that was in all


@dataclass(frozen=True, kw_only=True)
class WorkerPrinted:
    """A worker's log has grown."""

    worker: int
    tail: str
    n_bytes: int


@dataclass(frozen=True, kw_only=True)
class ClaimAnswered:
    """The store's answer to a claim."""

    claimed: Claimed


@dataclass(frozen=True, kw_only=True)
class BatchWritten:
    """Reports are in the store; `lost` are no longer ours."""

    batch: Batch
    lost: frozenset[AttemptKey]


@dataclass(frozen=True, kw_only=True)
class EndsWritten:
    """Ends are in the store; `lost` were no longer ours."""

    ends: Sequence[End]
    lost: frozenset[AttemptKey]


@dataclass(frozen=True, kw_only=True)
class Changed:
    """News of the study, from all machines."""

    changes: Changes


@dataclass(frozen=True, kw_only=True)
class CheckpointLoaded:
    """A checkpoint lies in the spool; None: there is no usable one."""

    key: AttemptKey
    path: str | None
    step: int


@dataclass(frozen=True, kw_only=True)
class PulseHeard:
    """A beat was answered; `silent` are the agents to take trials from."""

    silent: Sequence[AgentBeat]
    pulse: Pulse


@dataclass(frozen=True, kw_only=True)
class StoreAway:
    """The database does not answer; helper threads try again and again."""

    message: str
    helper: str = "store"  # the thread that has noticed
    is_refusal: bool = False  # it answers, and refuses a connection that it accepted before


@dataclass(frozen=True, kw_only=True)
class StoreBack:
    """The database answers again."""

    helper: str = "store"


@dataclass(frozen=True, kw_only=True)
class ElsewhereHeard:
    """Which trials that failed here came further on another machine."""

    numbers: frozenset[int]


@dataclass(frozen=True, kw_only=True)
class MemoryRead:
    """What the devices have left, by name; only where several workers share one."""

    by_device: Mapping[str, Memory]


@dataclass(frozen=True, kw_only=True)
class HelperFailed:
    """A helper thread cannot go on: the agent ends with this error."""

    error: TunerError


@dataclass(frozen=True, kw_only=True)
class FolderRestored:
    """A folder had disappeared and is there again."""

    path: str


@dataclass(frozen=True, kw_only=True)
class FolderLost:
    """A folder has disappeared for good: the agent releases its trials and ends with this error."""

    error: TunerError


@dataclass(frozen=True, kw_only=True)
class StopAsked:
    """A signal that asks the agent to stop."""

    signal: str


@dataclass(frozen=True, kw_only=True)
class Tick:
    """Nothing but time has passed."""


Event = (
    WorkerSaid
    | WorkerGone
    | WorkerPrinted
    | ClaimAnswered
    | BatchWritten
    | EndsWritten
    | Changed
    | CheckpointLoaded
    | PulseHeard
    | StoreAway
    | StoreBack
    | ElsewhereHeard
    | MemoryRead
    | HelperFailed
    | FolderRestored
    | FolderLost
    | StopAsked
    | Tick
)


def away(error: DatabaseAway, helper: str) -> StoreAway:
    """What a helper thread has met."""
    is_refusal = isinstance(error, DatabaseRefused)
    return StoreAway(message=str(error), helper=helper, is_refusal=is_refusal)


def report_failures(inbox: "queue.SimpleQueue[Event]") -> Callable[[TunerError], None]:
    """What a helper thread does with its failure: the agent ends with it."""
    return lambda error: inbox.put(HelperFailed(error=error))
