"""Workers of a killed agent: they are ended before their trials continue elsewhere.

The template of a killed agent ends with it, and the reaper of each worker (`tuner.worker.reaper`)
ends the worker with the template. This module is the second safeguard, for a process that was
stopped or is slow: each agent records the template of its workers in its spool, and an agent of the
same machine ends the remaining ones before it takes their trials over. All of them have the
template's marker, a random one, in the environment that they were started with.
"""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import UUID

from tuner.agent.workers.process import END_SIGNALS
from tuner.agent.workers.template import MARKER
from tuner.processes import descendants_of, with_variable

RECORD = "workers.json"  # in the spool of an agent
JOIN_SECONDS = 3.0  # for which a starting agent waits for processes that it ended
POLL_SECONDS = 0.2  # that an agent at work waits for them; it looks again with its next heartbeat
_KILL_SECONDS = 1.0  # after so long the reaper is passed over
_LOOK_SECONDS = 0.02


@dataclass(frozen=True, kw_only=True)
class WorkerRecord:
    """The record of workers in an agent's spool."""

    agent_id: str
    marker: str  # of their template

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
        return WorkerRecord(agent_id=str(content["agent_id"]), marker=str(content["marker"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def end_left_behind(spool: Path) -> bool:
    """End the remaining workers recorded in the spool of an agent that is gone.

    Return whether all of them are gone, after at most `JOIN_SECONDS`.
    """
    record = read_record(spool)
    return record is None or _end(record.marker, JOIN_SECONDS)


class LeftBehind:
    """The workers of other agents of this machine, by the records in their spools."""

    def __init__(self, spools: Path) -> None:
        """Build it for `spools`, the folder with the spools of all agents of this machine."""
        self._spools = spools

    def end(self, agent_id: UUID) -> bool:
        """End the remaining workers of an agent; return whether all of them are gone."""
        records = self._records(str(agent_id))
        return all(_end(record.marker, POLL_SECONDS) for record in records)

    def _records(self, agent_id: str) -> Iterator[WorkerRecord]:
        try:
            folders = list(self._spools.iterdir())
        except OSError:
            return
        for folder in folders:
            record = read_record(folder)
            if record is not None and record.agent_id == agent_id:
                yield record


def _end(marker: str, seconds: float) -> bool:
    """End the processes with a marker and all below them; return whether all of them are gone."""
    began_at = time.monotonic()
    while left := _highest(marker):
        waited = time.monotonic() - began_at
        for pid in left:
            if waited > _KILL_SECONDS:
                _kill_below(pid)
            else:
                _end_reaper(pid)
        if waited > seconds:
            return False
        time.sleep(_LOOK_SECONDS)
    return True


def _highest(marker: str) -> list[int]:
    """Return the reapers, or the template, and not those below them that inherited the marker."""
    if not marker:
        return []
    marked = with_variable(MARKER, marker)
    below = {pid for each in marked for pid in descendants_of(each)}
    return [pid for pid in marked if pid not in below]


def _end_reaper(pid: int) -> None:
    for number in END_SIGNALS:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _kill_below(pid: int) -> None:
    """Kill the descendants of a process, and the process last: it is the parent of the orphans."""
    for each in [*descendants_of(pid), pid]:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(each, signal.SIGKILL)
