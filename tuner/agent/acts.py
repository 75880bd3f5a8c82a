"""Actions that the rules request from the agent."""

from collections.abc import Sequence
from dataclasses import dataclass

from tuner.agent.notices import Notice
from tuner.messages import Continue, Start, Stop
from tuner.study.agents import AgentBeat
from tuner.study.checkpoint import SavedFile
from tuner.study.code import Code
from tuner.study.ending import Ending
from tuner.study.failure import Fault
from tuner.study.lease import Batch, End
from tuner.study.report import RungValue
from tuner.study.trial import AttemptKey, TrialRecord


@dataclass(frozen=True, kw_only=True)
class AskClaim:
    known: Sequence[AttemptKey]
    limit: int
    n_new: int  # those of the limit that need a model; the others exist, or are draws
    silent: Sequence[AgentBeat]


@dataclass(frozen=True, kw_only=True)
class AskWrite:
    """Write the reports of trials that continue."""

    batch: Batch


@dataclass(frozen=True, kw_only=True)
class AskEnd:
    ends: Sequence[End]


@dataclass(frozen=True, kw_only=True)
class AskNoteCode:
    """Record which files an attempt runs."""

    key: AttemptKey
    code: Code


@dataclass(frozen=True, kw_only=True)
class AskChanges:
    """Read the changes that other machines made."""


@dataclass(frozen=True, kw_only=True)
class AskCheckpoint:
    """Fetch a trial's checkpoint into the spool."""

    key: AttemptKey


@dataclass(frozen=True, kw_only=True)
class AskUpload:
    """Store a checkpoint outside the database, before it is registered there."""

    saved: SavedFile


@dataclass(frozen=True, kw_only=True)
class AskElsewhere:
    """Ask how trials that failed here fare on other machines."""

    faults: Sequence[Fault]


@dataclass(frozen=True, kw_only=True)
class Learn:
    """Pass this machine's changes to the sampler before the database's feed brings them."""

    records: Sequence[TrialRecord] = ()
    rungs: Sequence[RungValue] = ()


@dataclass(frozen=True, kw_only=True)
class Send:
    """Send a message to a worker."""

    worker: int
    message: Start | Continue | Stop


@dataclass(frozen=True, kw_only=True)
class ReplaceWorker:
    """Start a worker to replace one that has ended."""

    worker: int


@dataclass(frozen=True, kw_only=True)
class AdmitWorkers:
    """Take in the workers that have started."""


@dataclass(frozen=True, kw_only=True)
class ForkSpare:
    """Fork the worker that replaces the next one that ends, unless there is one."""


@dataclass(frozen=True, kw_only=True)
class KillWorker:
    """End a worker at once."""

    worker: int


@dataclass(frozen=True, kw_only=True)
class DumpStacks:
    """Make a worker write its stacks into its log."""

    worker: int


@dataclass(frozen=True, kw_only=True)
class RestWorkers:
    """End all workers until `WakeWorkers`."""


@dataclass(frozen=True, kw_only=True)
class WakeWorkers:
    pass


@dataclass(frozen=True, kw_only=True)
class RestPlaces:
    """End the workers of some places until `WakePlaces`."""

    places: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class WakePlaces:
    places: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class RecordWorkers:
    """Record the workers of this agent again, because the spool with the record was recreated."""


@dataclass(frozen=True, kw_only=True)
class RemoveFile:
    """Remove a spooled checkpoint that is registered or superseded."""

    path: str


@dataclass(frozen=True, kw_only=True)
class Say:
    """Pass a notice to the view."""

    notice: Notice


@dataclass(frozen=True, kw_only=True)
class Leave:
    """End the agent's loop."""

    ending: Ending


StoreJob = (
    AskClaim
    | AskWrite
    | AskEnd
    | AskNoteCode
    | AskChanges
    | AskCheckpoint
    | AskUpload
    | AskElsewhere
)
WorkerAct = (
    Send
    | ReplaceWorker
    | AdmitWorkers
    | ForkSpare
    | KillWorker
    | DumpStacks
    | RestWorkers
    | WakeWorkers
    | RestPlaces
    | WakePlaces
    | RecordWorkers
)
Act = StoreJob | WorkerAct | Learn | RemoveFile | Say | Leave
