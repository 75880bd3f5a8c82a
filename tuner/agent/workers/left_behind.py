"""Workers of a killed agent: they are ended before their trials continue elsewhere.

The reaper of a worker (`tuner.worker.reaper`) ends it as soon as its agent is gone. This module is
the second safeguard, for a reaper that was stopped or is slow: each agent records its workers in
its spool, and an agent of the same machine ends the remaining ones before it takes their trials
over. Only processes whose id, start and marker in the environment all match the record are ended.
"""

import json
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import UUID

from tuner.agent.workers.process import MARKER, end_worker
from tuner.processes import descendants_of, environment_of, started_at

RECORD = "workers.json"  # in the spool of an agent
JOIN_SECONDS = 3.0  # for which a starting agent waits for processes that it ended
POLL_SECONDS = 0.2  # that an agent at work waits for them; it looks again with its next heartbeat
_KILL_SECONDS = 1.0  # after so long the reaper is passed over
_LOOK_SECONDS = 0.02


@dataclass(frozen=True, kw_only=True)
class RecordedWorker:
    """The reaper of a worker, as recorded by its agent."""

    pid: int
    started_at: int  # see `tuner.processes.started_at`
    marker: str

    def is_left(self) -> bool:
        """Return whether this very process still runs."""
        is_same = started_at(self.pid) == self.started_at
        return is_same and environment_of(self.pid).get(MARKER) == self.marker


@dataclass(frozen=True, kw_only=True)
class WorkerRecord:
    """The record of workers in an agent's spool."""

    agent_id: str
    workers: Sequence[RecordedWorker]

    def write(self, spool: Path) -> None:
        """Replace the whole record; without room for it the agent continues."""
        draft = spool / f"{RECORD}.new"
        with suppress(OSError):
            draft.write_text(json.dumps(asdict(self)))
            os.replace(draft, spool / RECORD)


def read_record(spool: Path) -> WorkerRecord | None:
    """Return the record in an agent's spool; None if none can be read."""
    try:
        content = json.loads((spool / RECORD).read_text())
        workers = [
            RecordedWorker(
                pid=int(worker["pid"]),
                started_at=int(worker["started_at"]),
                marker=str(worker["marker"]),
            )
            for worker in content["workers"]
        ]
        return WorkerRecord(agent_id=str(content["agent_id"]), workers=workers)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def end_left_behind(spool: Path) -> bool:
    """End the remaining workers recorded in the spool of an agent that is gone.

    Return whether all of them are gone, after at most `JOIN_SECONDS`.
    """
    record = read_record(spool)
    return record is None or _end(record.workers, JOIN_SECONDS)


class LeftBehind:
    """The workers of other agents of this machine, by the records in their spools."""

    def __init__(self, spools: Path) -> None:
        """Build it for `spools`, the folder with the spools of all agents of this machine."""
        self._spools = spools

    def end(self, agent_id: UUID) -> bool:
        """End the remaining workers of an agent; return whether all of them are gone."""
        records = self._records(str(agent_id))
        return all(_end(record.workers, POLL_SECONDS) for record in records)

    def _records(self, agent_id: str) -> Iterator[WorkerRecord]:
        try:
            folders = list(self._spools.iterdir())
        except OSError:
            return
        for folder in folders:
            record = read_record(folder)
            if record is not None and record.agent_id == agent_id:
                yield record


def _end(workers: Sequence[RecordedWorker], seconds: float) -> bool:
    began_at = time.monotonic()
    while left := [worker for worker in workers if worker.is_left()]:
        waited = time.monotonic() - began_at
        for worker in left:
            if waited > _KILL_SECONDS:
                _kill_below(worker.pid)
            else:
                end_worker(worker.pid)
        if waited > seconds:
            return False
        time.sleep(_LOOK_SECONDS)
    return True


def _kill_below(pid: int) -> None:
    """Kill the descendants of a process, and the process last: it is the parent of the orphans."""
    for each in [*descendants_of(pid), pid]:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(each, signal.SIGKILL)
