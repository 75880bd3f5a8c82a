"""What an agent can do: the outcomes of its rules."""

from collections.abc import Sequence
from dataclasses import dataclass

from tuner.agent.notices import Notice
from tuner.messages import Continue, Start, Stop
from tuner.study.agents import AgentBeat
from tuner.study.ending import Ending
from tuner.study.failure import Fault
from tuner.study.lease import Batch, End
from tuner.study.trial import AttemptKey, TrialRecord


@dataclass(frozen=True, kw_only=True)
class AskClaim:
    """Ask the store for trials."""

    known: Sequence[AttemptKey]
    limit: int
    n_new: int  # of these, that a model may be asked for; the others exist, or are draws
    silent: Sequence[AgentBeat]


@dataclass(frozen=True, kw_only=True)
class AskWrite:
    """Write what trials that go on have reported."""

    batch: Batch


@dataclass(frozen=True, kw_only=True)
class AskEnd:
    ends: Sequence[End]


@dataclass(frozen=True, kw_only=True)
class AskChanges:
    """Look at what the other machines did."""


@dataclass(frozen=True, kw_only=True)
class AskCheckpoint:
    """Fetch a trial's checkpoint into the spool."""

    key: AttemptKey


@dataclass(frozen=True, kw_only=True)
class AskElsewhere:
    """How trials that failed here fare on other machines."""

    faults: Sequence[Fault]


@dataclass(frozen=True, kw_only=True)
class Learn:
    """Let the sampler know what this machine did, before the database has told of it."""

    records: Sequence[TrialRecord]


@dataclass(frozen=True, kw_only=True)
class Send:
    """Say something to a worker."""

    worker: int
    message: Start | Continue | Stop


@dataclass(frozen=True, kw_only=True)
class ReplaceWorker:
    """Start a worker in the place of one that is gone."""

    worker: int


@dataclass(frozen=True, kw_only=True)
class KillWorker:
    """End a worker at once."""

    worker: int


@dataclass(frozen=True, kw_only=True)
class DumpStacks:
    """Let a worker write where it stands into its log."""

    worker: int


@dataclass(frozen=True, kw_only=True)
class RestWorkers:
    """End all workers: nothing is to be done for a while."""


@dataclass(frozen=True, kw_only=True)
class WakeWorkers:
    """Start the workers again that `RestWorkers` ended."""


@dataclass(frozen=True, kw_only=True)
class RecordWorkers:
    """Write down which workers are this agent's: the spool that held the record was made again."""


@dataclass(frozen=True, kw_only=True)
class RemoveFile:
    """A spooled checkpoint that is registered or superseded."""

    path: str


@dataclass(frozen=True, kw_only=True)
class Say:
    """Tell the people who watch."""

    notice: Notice


@dataclass(frozen=True, kw_only=True)
class Leave:
    """The agent's work is over."""

    ending: Ending


StoreJob = AskClaim | AskWrite | AskEnd | AskChanges | AskCheckpoint | AskElsewhere
WorkerAct = (
    Send | ReplaceWorker | KillWorker | DumpStacks | RestWorkers | WakeWorkers | RecordWorkers
)
Act = StoreJob | WorkerAct | Learn | RemoveFile | Say | Leave
