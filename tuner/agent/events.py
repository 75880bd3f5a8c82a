"""Events of an agent."""

import queue
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tuner.agent.memory import Memory
from tuner.errors import DatabaseAway, DatabaseRefused, TunerError
from tuner.messages import FromWorker
from tuner.study.agents import AgentBeat, Pulse
from tuner.study.checkpoint import SavedFile
from tuner.study.feed import Changes
from tuner.study.lease import Batch, Claimed, End
from tuner.study.trial import AttemptKey


@dataclass(frozen=True, kw_only=True)
class WorkerSaid:
    worker: int  # its process id
    message: FromWorker
    tail: str = ""  # with a message that ends a trial: the end of the log,
    n_bytes: int = 0  # and how much that was in all


@dataclass(frozen=True, kw_only=True)
class WorkerGone:
    worker: int
    exit_code: int  # negative: the signal that ended it
    tail: str  # the end of the log,
    n_bytes: int = 0  # and how much that was in all


@dataclass(frozen=True, kw_only=True)
class TemplateAnswered:
    """The template has forked a worker that is awaited, or has ended before."""


@dataclass(frozen=True, kw_only=True)
class TemplateNoted:
    """A note of the template of the workers about itself."""

    text: str


@dataclass(frozen=True, kw_only=True)
class WorkerPrinted:
    worker: int
    tail: str
    n_bytes: int


@dataclass(frozen=True, kw_only=True)
class ClaimAnswered:
    claimed: Claimed


@dataclass(frozen=True, kw_only=True)
class BatchWritten:
    """Reports are stored; the attempts in `lost` belong to other agents now."""

    batch: Batch
    lost: frozenset[AttemptKey]


@dataclass(frozen=True, kw_only=True)
class EndsWritten:
    """Ends are stored; the attempts in `lost` belonged to other agents."""

    ends: Sequence[End]
    lost: frozenset[AttemptKey]


@dataclass(frozen=True, kw_only=True)
class Changed:
    """The feed brought changes from all machines."""

    changes: Changes


@dataclass(frozen=True, kw_only=True)
class CheckpointLoaded:
    """A checkpoint is in the spool; None if no usable one exists."""

    key: AttemptKey
    path: str | None
    step: int
    is_folder: bool = False
    error: TunerError | None = None  # why it cannot be loaded on this machine


@dataclass(frozen=True, kw_only=True)
class Uploaded:
    """A checkpoint is outside the database now, or its file was damaged."""

    saved: SavedFile
    is_stored: bool
    error: str = ""  # of the store


@dataclass(frozen=True, kw_only=True)
class PulseHeard:
    """A heartbeat was answered; trials of the agents in `silent` may be taken over."""

    silent: Sequence[AgentBeat]
    pulse: Pulse
    unavailable: Mapping[str, str] = field(default_factory=dict)  # places -> why, see `Occupancy`


@dataclass(frozen=True, kw_only=True)
class DevicesLent:
    """`tuner agent` gives this study these devices of the machine, and no others."""

    units: frozenset[str]  # "gpu:0", "cpu:3"


@dataclass(frozen=True, kw_only=True)
class StoreAway:
    """The database does not answer; helper threads keep trying."""

    message: str
    helper: str = "store"  # the thread that has noticed
    is_refusal: bool = False  # it answers, and refuses a connection that it accepted before


@dataclass(frozen=True, kw_only=True)
class StoreBack:
    helper: str = "store"


@dataclass(frozen=True, kw_only=True)
class ElsewhereHeard:
    """These trials failed here and got further on another machine."""

    numbers: frozenset[int]


@dataclass(frozen=True, kw_only=True)
class MemoryRead:
    """Free memory of devices by name; only of those that several workers share."""

    by_device: Mapping[str, Memory]


@dataclass(frozen=True, kw_only=True)
class HelperFailed:
    """A helper thread failed: the agent ends with this error."""

    error: TunerError


@dataclass(frozen=True, kw_only=True)
class FolderRestored:
    """A folder had disappeared and was recreated."""

    path: str


@dataclass(frozen=True, kw_only=True)
class FolderLost:
    """A folder cannot be recreated: the agent releases its trials and ends with this error."""

    error: TunerError


@dataclass(frozen=True, kw_only=True)
class StopAsked:
    signal: str


@dataclass(frozen=True, kw_only=True)
class Tick:
    """No event except the passing of time."""


Event = (
    WorkerSaid
    | WorkerGone
    | WorkerPrinted
    | TemplateAnswered
    | TemplateNoted
    | ClaimAnswered
    | BatchWritten
    | EndsWritten
    | Changed
    | CheckpointLoaded
    | Uploaded
    | DevicesLent
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
    """Return the event for a database outage in a helper thread."""
    is_refusal = isinstance(error, DatabaseRefused)
    return StoreAway(message=str(error), helper=helper, is_refusal=is_refusal)


def report_failures(inbox: "queue.SimpleQueue[Event]") -> Callable[[TunerError], None]:
    """Return the error handler of helper threads, which ends the agent with the error."""
    return lambda error: inbox.put(HelperFailed(error=error))
