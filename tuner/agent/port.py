"""Ports of the agent: the durable study, a sampler and a view."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol
from uuid import UUID

from tuner.agent.notices import Notice
from tuner.study.agents import AgentBeat, DeviceHolder, Pulse, Telemetry
from tuner.study.checkpoint import Checkpoint, SavedFile
from tuner.study.code import Code
from tuner.study.failure import Fault
from tuner.study.feed import Changes, Seen
from tuner.study.lease import Batch, Claimed, End
from tuner.study.suggestion import Suggestion
from tuner.study.trial import AttemptKey, Params

Suggest = Callable[[Sequence[int]], Sequence[Suggestion]]  # draws -> as many, or fewer
Complete = Callable[[int, Params], Params]  # number, enqueued params -> all params


class Store(Protocol):
    """The durable study; after `DatabaseAway` the same call may succeed later."""

    def claim(
        self,
        known: Sequence[AttemptKey],
        limit: int,
        silent: Sequence[AgentBeat],
        suggest: Suggest,
        complete: Complete,
    ) -> Claimed: ...

    def report(self, batch: Batch) -> frozenset[AttemptKey]: ...

    def note_code(self, key: AttemptKey, code: Code) -> None:
        """Record the files that an attempt runs."""

    def end(self, ends: Sequence[End]) -> frozenset[AttemptKey]: ...

    def changes(self, seen: Seen) -> Changes: ...

    def fared_better(self, faults: Sequence[Fault]) -> frozenset[int]: ...

    def load_checkpoint(self, number: int, spool: Path) -> tuple[Checkpoint, str] | None:
        """Write a trial's newest usable checkpoint to the spool, and return its path with it.

        Raises `OSError` if the spool has no room, and `StoreFails`.
        """

    def upload(self, saved: SavedFile) -> bool:
        """Store a checkpoint outside the database; False for a file that is damaged or too late.

        Raises `StoreFails`.
        """

    def beat(self, telemetry: Telemetry) -> Pulse: ...

    def take_devices(
        self, uuids: Sequence[str], gone: Sequence[UUID] = ()
    ) -> Mapping[str, DeviceHolder | None]:
        """Take GPUs for this agent alone; return those that others have, None if just taken.

        `gone`: agents whose processes have ended.
        """

    def give_devices(self, uuids: Sequence[str]) -> None:
        """Let others use these GPUs."""

    def leave(self, telemetry: Telemetry) -> None: ...


class View(Protocol):
    """Display of notices and progress."""

    def show(self, notice: Notice) -> None: ...
