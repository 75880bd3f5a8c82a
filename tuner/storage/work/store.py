"""The store: reads and writes of an agent, over three connections.

`beat`, and `claim` with `load_checkpoint`, may be called from threads of their own: each has its
connection, so that an idle worker's claim waits for no other statement.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING
from uuid import UUID

from tuner.errors import ObjectMissing, StoreFails, StudyGone
from tuner.space import to_distributions
from tuner.storage.connections.connection import Database
from tuner.storage.connections.sessions import Session
from tuner.storage.objects.own import check_store
from tuner.storage.objects.store import ObjectStore
from tuner.storage.work.checkpoints import Register
from tuner.storage.work.claims import Claimer, Complete, Suggest, claim
from tuner.storage.work.drained import build_drain
from tuner.storage.work.plateau import PlateauCheck
from tuner.storage.work.records import rung_values, trial_record
from tuner.storage.work.spooled import write_resumed
from tuner.storage.work.uploads import Uploads
from tuner.storage.work.usage import Usage
from tuner.storage.work.writes import Writer, write_batch, write_ends
from tuner.study.agents import AgentBeat, AgentIdentity, Desired, DeviceHolder, Pulse, Telemetry
from tuner.study.checkpoint import Checkpoint, SavedFile
from tuner.study.code import Code
from tuner.study.failure import Fault
from tuner.study.feed import Changes, Seen
from tuner.study.lease import Batch, Claimed, End
from tuner.study.limits import Limits
from tuner.study.secrets import redact
from tuner.study.trial import AttemptKey, Direction

if TYPE_CHECKING:
    from tuner.study_file.model import StudySpec

log = logging.getLogger(__name__)

PARTS_AT_ONCE = 16  # of a checkpoint's content, in one statement


class PostgresStore:
    """One agent's access to one study. Errors: `DatabaseAway`, `DatabaseError`, `StudyGone`."""

    def __init__(
        self,
        database: Database,
        study_id: int,
        spec: "StudySpec",
        identity: AgentIdentity,
        *,
        lease_seconds: float | None = None,
        objects: ObjectStore | None = None,
    ) -> None:
        """Build the store.

        `lease_seconds` is the study's, if it differs from the spec's. `objects`: where checkpoints
        are kept, None for the database; raises `StoreFails` if it cannot be used.
        """
        self._main = Session(database)
        self._claims = Session(database)
        self._beats = Session(database)
        self._study_id = study_id
        self._identity = identity
        self._distributions = to_distributions(spec.search_space)
        self._claimer = Claimer(
            study_id=study_id,
            me=identity.agent_id,
            boot=identity.boot,
            memory_bytes=identity.memory_bytes,
            study_seed=spec.seed,
            lease_seconds=lease_seconds or spec.failures.lease_seconds,
            distributions=self._distributions,
        )
        self._uploads = None if objects is None else self._open_uploads(objects)
        register = Register(
            study_id=study_id,
            me=identity.agent_id,
            keep=spec.checkpoints.keep,
            uploads=self._uploads,
        )
        self._writer = Writer(
            study_id=study_id,
            me=identity.agent_id,
            boot=identity.boot,
            metric=spec.metric,
            minimize=spec.direction is Direction.MINIMIZE,
            register=register,
            stop_after=spec.failures.stop_after,
            keep_best=spec.checkpoints.keep_best,
        )
        self._plateau = None
        if spec.budget.stops_at_plateau:
            self._plateau = PlateauCheck(study_id=study_id, direction=spec.direction)
        self._vouched_until = monotonic()
        self.ordinal = self._join(self._main)

    def _open_uploads(self, objects: ObjectStore) -> Uploads:
        ((database_id,),) = self._main.rows("agent", "identity", {})
        check_store(objects)
        return Uploads(objects, database_id, self._study_id)

    def _join(self, session: Session) -> int:
        """Join the study as an agent; return the ordinal of this agent, from 0."""
        rows = session.rows(
            "agent",
            "join",
            {
                "me": self._identity.agent_id,
                "study_id": self._study_id,
                "host": self._identity.host,
                "boot": self._identity.boot,
                "pid": self._identity.pid,
                "devices": list(self._identity.devices),
                "code": json.dumps(dict(self._identity.code)),
                "about": json.dumps(dict(self._identity.about)),
                "memory_bytes": self._identity.memory_bytes,
            },
        )
        if not rows:
            raise _gone()
        ordinal: int = rows[0][0]
        return ordinal

    def claim(
        self,
        known: Sequence[AttemptKey],
        limit: int,
        silent: Sequence[AgentBeat],
        suggest: Suggest,
        complete: Complete,
    ) -> Claimed:
        """Claim up to `limit` trials; see `claims.claim`."""
        return claim(self._claimer, self._claims, known, limit, silent, suggest, complete)

    def fared_better(self, faults: Sequence[Fault]) -> frozenset[int]:
        """Return the trials that failed here and got further on another machine."""
        params = {
            "study_id": self._study_id,
            "boot": self._identity.boot,
            "numbers": [fault.key.number for fault in faults],
            "attempts": [fault.key.attempt for fault in faults],
            "steps": [fault.step for fault in faults],
        }
        return frozenset(n for (n,) in self._claims.rows("claim", "fared_better", params))

    def report(self, batch: Batch) -> frozenset[AttemptKey]:
        """Write a batch under the fence; return the attempts that this agent no longer holds."""
        return write_batch(self._writer, self._main, batch)

    def note_code(self, key: AttemptKey, code: Code) -> None:
        """Record the files that an attempt runs; nothing if it is no longer this agent's."""
        params = {
            "study_id": self._study_id,
            "me": str(self._identity.agent_id),
            "number": key.number,
            "attempt": key.attempt,
            "code": json.dumps(dict(code), sort_keys=True),
        }
        self._main.rows("report", "note_code", params)

    def end(self, ends: Sequence[End]) -> frozenset[AttemptKey]:
        """End attempts; return those that this agent no longer held."""
        return write_ends(self._writer, self._main, ends)

    def changes(self, seen: Seen) -> Changes:
        """Return the changes of the study since `seen`."""
        trials = self._main.rows(
            "feed",
            "trials",
            {
                "study_id": self._study_id,
                "highest": seen.highest,
                "open": sorted(seen.open_numbers),
            },
        )
        records = [trial_record(row, self._distributions) for row in trials]
        (rungs,) = self._main.rows(
            "feed", "rungs", {"study_id": self._study_id, "snapshot": seen.snapshot}
        )
        ended = {r.number for r in records if r.state.is_final}
        opened = {r.number for r in records if not r.state.is_final}
        return Changes(
            trials=records,
            rung_values=rung_values(rungs),
            seen=Seen(
                highest=max([seen.highest, *(r.number for r in records)]),
                open_numbers=(seen.open_numbers - ended) | opened,
                snapshot=rungs[0],
            ),
        )

    def load_checkpoint(self, number: int, spool: Path) -> tuple[Checkpoint, str] | None:
        """Write the newest registered checkpoint whose content has its hash to the spool.

        Return it with the path of the file, or None if there is none. Raises `OSError` if the spool
        has no room, and `StoreFails`.
        """
        own = {"study_id": self._study_id, "number": number}
        for row in self._claims.rows("report", "checkpoints", own):
            checkpoint_id, step, sha256, n_bytes, object_key = row
            try:
                chunks = self._content(number, checkpoint_id, object_key, n_bytes)
                path = write_resumed(spool, number, chunks, sha256)
            except ObjectMissing as error:
                log.warning("the checkpoint of trial %d at step %d: %s", number, step, error)
                continue
            if path is not None:
                found = Checkpoint(
                    checkpoint_id=checkpoint_id, step=step, sha256=sha256, n_bytes=n_bytes
                )
                return found, path
        return None

    def _content(
        self, number: int, checkpoint_id: int, object_key: str | None, n_bytes: int
    ) -> Iterator[bytes]:
        if object_key is None:
            return self._chunks(checkpoint_id)
        if self._uploads is None:
            raise StoreFails(
                f"the checkpoint of trial {number} is in a store outside the database, and the "
                "study file of this machine names none; add `checkpoints: {store: ...}`"
            )
        return self._uploads.read(number, object_key, n_bytes)

    def upload(self, saved: SavedFile) -> bool:
        """Store a checkpoint outside the database, before it is registered.

        Return False for a file that is damaged or too late. Raises `StoreFails`.
        """
        assert self._uploads is not None
        return self._uploads.upload(saved) is not None

    def _chunks(self, checkpoint_id: int) -> Iterator[bytes]:
        """Yield a checkpoint's content in order, without all of it in memory."""
        first = 0
        while True:
            params = {"checkpoint_id": checkpoint_id, "first": first, "n_parts": PARTS_AT_ONCE}
            rows = self._claims.rows("report", "read_checkpoint", params)
            yield from (bytes(part) for (part,) in rows)
            if len(rows) < PARTS_AT_ONCE:
                return
            first += PARTS_AT_ONCE

    def beat(self, telemetry: Telemetry) -> Pulse:
        """Send a heartbeat; return the states of the study and of the other agents."""
        # The study's clock advances by the time since this agent's last heartbeat: it was alive
        # then.
        asked_at = monotonic()
        vouched = {
            "vouched_seconds": asked_at - self._vouched_until,
            "lease_seconds": self._claimer.lease_seconds,
        }
        params = {**self._telemetry(telemetry), **vouched}
        rows = self._beats.rows("agent", "beat", params)
        if not rows:
            # A standby that took over may lack the seconds in which this agent joined.
            self._join(self._beats)
            rows = self._beats.rows("agent", "beat", params)
        if not rows:
            raise _gone()
        self._vouched_until = asked_at
        desired, reason, limit_trials, limit_steps, *amounts, others, drains, max_bytes = rows[0]
        usage = Usage(*amounts)
        if desired == Desired.RUNNING:
            limits = Limits(
                trials=limit_trials,
                steps=limit_steps,
                seconds=usage.limit_seconds,
                device_seconds=usage.limit_device_seconds,
            )
            reached = self._reach_limit(limits, usage)
            if reached is not None:
                desired, reason = Desired.STOPPING, reached
        return Pulse(
            desired=Desired(desired),
            reason=reason,
            limit_trials=limit_trials,
            seconds_left=usage.seconds_left(),
            drains=tuple(map(build_drain, drains)),
            max_other_bytes=max_bytes,
            others=[
                AgentBeat(
                    agent_id=UUID(other["agent_id"]),
                    beat=other["beat"],
                    host=other["host"],
                    boot=other["boot"],
                    pid=other["pid"],
                )
                for other in others
            ],
        )

    def _reach_limit(self, limits: Limits, usage: Usage) -> str | None:
        """Ask the study to stop if no more is to be trained; return the reason then."""
        reason = usage.exceeded()
        if reason is None and self._plateau is not None:
            reason = self._plateau.find(self._beats, limits)
        if reason is None:
            return None
        about = {
            "study_id": self._study_id,
            "me": self._identity.agent_id,
            "reason": reason,
            "limit_trials": limits.trials,
            "limit_steps": limits.steps,
            "limit_seconds": limits.seconds,
            "limit_device_seconds": limits.device_seconds,
        }
        return reason if self._beats.rows("agent", "reach_limit", about) else None

    def take_devices(
        self, uuids: Sequence[str], gone: Sequence[UUID] = ()
    ) -> dict[str, DeviceHolder | None]:
        """Take GPUs for this agent alone; return those that others have, None if just taken."""
        wanted = {"me": self._identity.agent_id, "uuids": list(uuids), "gone": list(gone)}
        rows = self._beats.rows("agent", "take_devices", wanted)
        return {
            uuid: None
            if agent_id is None
            else DeviceHolder(agent_id=agent_id, study=study, host=host, boot=boot, pid=pid)
            for uuid, is_mine, agent_id, study, host, boot, pid in rows
            if not is_mine
        }

    def give_devices(self, uuids: Sequence[str]) -> None:
        """Let other agents use these GPUs."""
        given = {"me": self._identity.agent_id, "uuids": list(uuids)}
        self._beats.rows("agent", "give_devices", given)

    def leave(self, telemetry: Telemetry) -> None:
        """Sign off and close the connections."""
        self._main.rows("agent", "leave", self._telemetry(telemetry))
        self.close()

    def close(self) -> None:
        self._main.close()
        self._claims.close()
        self._beats.close()

    def _telemetry(self, telemetry: Telemetry) -> dict[str, object]:
        return {
            "me": self._identity.agent_id,
            "seconds_lived": telemetry.seconds_lived,
            "device_seconds_busy": telemetry.device_seconds_busy,
            "screen": redact(telemetry.screen),
        }


def _gone() -> StudyGone:
    return StudyGone("the study was deleted while this agent worked on it")
