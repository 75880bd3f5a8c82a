"""Commands of users to a study: each is one short transaction."""

import json
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from psycopg2.errors import DeadlockDetected

from tuner.errors import DatabaseAway, NotFound, UsageError
from tuner.storage.connections.connection import Database
from tuner.storage.connections.sessions import Row, Session, run
from tuner.storage.control.extension import extend_limits
from tuner.storage.control.retries import find_retries, keep_new
from tuner.study.agents import Desired
from tuner.study.command_line import study_command
from tuner.study.control import (
    STOPPED_BY,
    Enqueued,
    Extended,
    Extension,
    Steered,
)
from tuner.study.limits import Limits, Used, bars_all_trials, limit_name, reached_limits
from tuner.study.trial import Direction, Params
from tuner.study_file.model import StudySpec

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

_DELETIONS = 5  # tries, while agents end them by a deadlock


@dataclass(frozen=True, kw_only=True)
class _Standing:
    """State of a study, read under the lock."""

    desired: Desired
    reason: str | None
    limits: Limits
    n_draws: int | None
    used: Used
    n_waiting: int  # enqueued
    reached: tuple[str, ...]  # limits that are used up
    has_ended: bool  # nothing is left to give out, and every trial is final
    step_noun: str

    @property
    def reached_names(self) -> list[str]:
        """Return the limits that are used up, by their names for users."""
        return [limit_name(key, self.step_noun) for key in self.reached]

    @property
    def is_over(self) -> bool:
        """Return whether it has ended by itself."""
        return self.desired is Desired.RUNNING and self.has_ended

    @property
    def is_stopped_by_person(self) -> bool:
        """Return whether a user, not a limit, stopped it."""
        is_ours = (self.reason or "").startswith(STOPPED_BY)
        return self.desired is Desired.STOPPING and is_ours


def why_no_pause(name: str, standing: _Standing) -> str | None:
    """Return the reason that prevents a pause, and the next step; None if nothing does."""
    go_on = f"{study_command('resume', name)} continues it"
    if bars_all_trials(standing.reached):
        go_on = (
            f"{study_command('extend', name)} and then {study_command('resume', name)} continue it"
        )
    match standing.desired:
        case Desired.HALTED:
            return f"study {name!r} is halted ({standing.reason}); {go_on}"
        case Desired.STOPPING if standing.is_stopped_by_person:
            return f"study {name!r} is stopping already ({standing.reason}); {go_on}"
        case Desired.STOPPING if not standing.has_ended:
            return (
                f"study {name!r} is stopping already ({standing.reason}); "
                f"{study_command('extend', name)} continues it"
            )
    if not standing.has_ended:
        return None
    why = f"its budget is used up: {', '.join(standing.reached_names)}"
    what = f"{study_command('extend', name)} continues it"
    if not standing.reached:
        why = "every cell of its grid was tried"
        what = f"{study_command('enqueue', name)} gives it other trials"
    return f"study {name!r} has ended ({why}), so there is nothing to pause; {what}"


class Control:
    """The commands to one study. Errors: `UsageError`, `NotFound`, `DatabaseError`."""

    def __init__(self, database: Database, study_id: int, spec: StudySpec) -> None:
        self._database = database
        self._study_id = study_id
        self._spec = spec

    def stop(self, who: str, why: str = "") -> Steered:
        """Stop the study: trials end as PRUNED, those of agents at their next heartbeat."""
        reason = f"{STOPPED_BY}{who}{f': {why}' if why else ''}"
        with self._session() as cursor:
            standing = self._lock(cursor)
            if standing.is_over:
                return self._steered(cursor, standing, None)
            if standing.desired is not Desired.STOPPING:
                self._desire(cursor, Desired.STOPPING, reason, "stop")
            else:
                reason = standing.reason or reason
            told = reason if reason.startswith(STOPPED_BY) else f"stopped: {reason}"
            which = {**self._lease, "number": None, "reason": told}
            ended = run(cursor, "control", "end_here", which)
            return self._steered(cursor, standing, reason, tuple(sorted(n for (n,) in ended)))

    def pause(self, who: str, why: str = "") -> Steered:
        """Save and release trials; agents wait.

        Raises `UsageError` for a study that stops, is halted or has ended.
        """
        reason = f"paused by {who}{f': {why}' if why else ''}"
        with self._session() as cursor:
            standing = self._lock(cursor)
            refusal = why_no_pause(self._spec.name, standing)
            if refusal is not None:
                raise UsageError(refusal)
            if standing.desired is Desired.PAUSED:
                return self._steered(cursor, standing, standing.reason)
            self._desire(cursor, Desired.PAUSED, reason, "pause")
            return self._steered(cursor, standing, reason)

    def resume(self, who: str) -> Steered:
        """Let agents work again; raises `UsageError` when a limit that ends it is used up."""
        with self._session() as cursor:
            standing = self._lock(cursor)
            is_held_back = standing.desired is not Desired.RUNNING
            if is_held_back and bars_all_trials(standing.reached):
                reached = ", ".join(standing.reached_names)
                raise UsageError(
                    f"the budget of study {self._spec.name!r} is used up ({reached}); "
                    f"{study_command('extend', self._spec.name)} raises it"
                )
            if is_held_back:
                self._desire(cursor, Desired.RUNNING, None, "resume", f"resumed by {who}")
            return self._steered(cursor, standing, None)

    def extend(self, wanted: Extension) -> Extended:
        """Change limits; a study that one of them had ended may continue; raises `UsageError`."""
        with self._session() as cursor:
            standing = self._lock(cursor)
            limits = extend_limits(standing.limits, standing.used, wanted, self._spec)
            run(cursor, "control", "limits", {**self._study, **asdict(limits)})
            changed = set(asdict(limits).items()) - set(asdict(standing.limits).items())
            self._note(cursor, "extend", ", ".join(f"{n} {v:g}" for n, v in sorted(changed)))
            by_limit = standing.desired is Desired.STOPPING and not standing.is_stopped_by_person
            reached = reached_limits(limits, standing.used, self._spec.direction)
            is_released = by_limit and not reached
            if is_released:
                self._desire(cursor, Desired.RUNNING, None, "resume", "its limit was raised")
            return Extended(
                before=standing.limits,
                after=limits,
                used=standing.used,
                n_draws=standing.n_draws,
                desired=Desired.RUNNING if is_released else standing.desired,
                reason=None if is_released else standing.reason,
                is_released=is_released,
                n_agents=len(self._agents(cursor)),
            )

    def prioritize(self, priority: int, who: str) -> int:
        """Set the priority among the studies of a fleet; return the one before."""
        with self._session() as cursor:
            given = {**self._study, "priority": priority}
            ((before,),) = run(cursor, "control", "prioritize", given)
            if before != priority:
                self._note(cursor, "priority", f"{before} -> {priority} by {who}")
            return int(before)

    def enqueue(self, trials: Sequence[Params]) -> Enqueued:
        """Add trials for the next claims; params were checked, missing ones are drawn later."""
        nothing = [None] * len(trials)
        with self._session() as cursor:
            standing = self._lock(cursor)
            return self._insert(cursor, standing, "enqueue", trials, nothing, nothing)

    def retry(self, numbers: Sequence[int] | None) -> Enqueued:
        """Add trials with the params and draws of FAIL ones; None: all that have no retry yet.

        The limit rises by one each. Raises `NotFound`, and `UsageError` for a trial that cannot be
        retried.
        """
        session = Session(self._database)
        try:
            found = find_retries(session, self._study_id, self._spec, numbers)
        finally:
            session.close()
        with self._session() as cursor:
            standing = self._lock(cursor)
            retries = keep_new(cursor, self._study_id, self._spec, found, is_all=numbers is None)
            n_trials = {**self._study, "n_trials": len(retries)}
            run(cursor, "control", "raise_limit", n_trials)
            limit = standing.limits.trials
            raised = None if limit is None else limit + len(retries)
            return self._insert(
                cursor,
                replace(standing, limits=replace(standing.limits, trials=raised)),
                "retry",
                [retry.params for retry in retries],
                [retry.draw for retry in retries],
                [retry.number for retry in retries],
            )

    def delete(self, *, force: bool = False) -> None:
        """Delete the study with all its rows; raises `UsageError` while agents are alive.

        It is repeated after a deadlock: rows are deleted in another order than agents lock them.
        """
        for left in reversed(range(_DELETIONS)):
            try:
                return self._delete(force)
            except DatabaseAway as error:
                if not left or not isinstance(error.__cause__, DeadlockDetected):
                    raise
            time.sleep(random.uniform(0.1, 0.5))  # the others go first

    def _delete(self, force: bool) -> None:
        with self._transaction("control", "lock_whole") as (cursor, _):
            agents = self._agents(cursor)
            if agents and not force:
                raise UsageError(
                    f"{_listed(agents)} on study {self._spec.name!r}; "
                    f"{study_command('stop', self._spec.name)} first, or add --force"
                )
            run(cursor, "control", "take_time", {})
            run(cursor, "control", "delete", self._study)

    @property
    def _study(self) -> dict[str, object]:
        return {"study_id": self._study_id}

    @property
    def _lease(self) -> dict[str, object]:
        return {**self._study, "lease_seconds": self._spec.failures.lease_seconds}

    @contextmanager
    def _session(self) -> Iterator["Cursor"]:
        """Begin a transaction as a claim does: with the lock on Optuna's row."""
        with self._transaction("claim", "lock_numbers") as (cursor, found):
            if not found:
                raise NotFound(f"study {self._spec.name!r} was deleted just now")
            yield cursor

    @contextmanager
    def _transaction(self, file: str, query: str) -> Iterator[tuple["Cursor", list[Row]]]:
        """Open a transaction on a connection of its own; report if the commit's answer is lost."""
        session = Session(self._database)
        is_committing = False
        try:
            with session.transaction(file, query, self._study) as opened:
                yield opened
                is_committing = True
        except DatabaseAway as error:
            if not is_committing:
                raise
            raise DatabaseAway(
                f"the connection broke before the answer: it may have been done; "
                f"{study_command('status', self._spec.name)} shows it ({error})"
            ) from error
        finally:
            session.close()

    def _lock(self, cursor: "Cursor") -> _Standing:
        (row,) = run(cursor, "control", "lock_study", self._study)
        minimize = self._spec.direction is Direction.MINIMIZE
        (used,) = run(cursor, "control", "used", {**self._study, "minimize": minimize})
        return _standing(row, used, self._spec)

    def _desire(
        self, cursor: "Cursor", desired: Desired, reason: str | None, kind: str, note: str = ""
    ) -> None:
        run(cursor, "control", "desire", {**self._study, "desired": desired, "reason": reason})
        self._note(cursor, kind, reason or note)

    def _note(self, cursor: "Cursor", kind: str, detail: str) -> None:
        run(cursor, "control", "note", {**self._study, "kind": kind, "detail": detail})

    def _agents(self, cursor: "Cursor") -> list[Row]:
        return run(cursor, "control", "living_agents", self._lease)

    def _steered(
        self,
        cursor: "Cursor",
        standing: _Standing,
        reason: str | None,
        ended: tuple[int, ...] = (),
    ) -> Steered:
        return Steered(
            before=standing.desired,
            reason=reason,
            ended=ended,
            held={
                host: tuple(numbers)
                for host, numbers in run(cursor, "control", "still_held", self._study)
            },
            n_waiting=standing.n_waiting,
            n_agents=len(self._agents(cursor)),
            reached=standing.reached,
            is_over=standing.is_over,
        )

    def _insert(
        self,
        cursor: "Cursor",
        standing: _Standing,
        kind: str,
        trials: Sequence[Params],
        draws: Sequence[int | None],
        retries: Sequence[int | None],
    ) -> Enqueued:
        """Insert WAITING trials, numbered under the lock as a claim numbers its own."""
        ((first,),) = run(cursor, "claim", "next_number", self._study)
        numbers = list(range(first, first + len(trials)))
        waiting = {
            "numbers": numbers,
            "fixed": [json.dumps(dict(params)) for params in trials],
            "draws": list(draws),
            "retries": list(retries),
        }
        run(cursor, "control", "insert_waiting", {**self._study, **waiting})
        what = [_said(n, retry) for n, retry in zip(numbers, retries, strict=True)]
        self._note(cursor, kind, ", ".join(what))
        limit = standing.limits.trials
        return Enqueued(
            numbers=tuple(numbers),
            params=tuple(trials),
            retry_of=tuple(retries),
            limit_trials=limit,
            n_left=None if limit is None else max(0, limit - standing.used.trials),
            n_waiting=standing.n_waiting + len(numbers),
            desired=standing.desired,
            n_agents=len(self._agents(cursor)),
        )


def _standing(row: Row, amounts: Row, spec: StudySpec) -> _Standing:
    desired, reason, *stored, n_draws, n_claimed, next_draw = row
    n_waiting, has_open, n_steps, lived, busy, best = amounts
    names = ("trials", "steps", "seconds", "device_seconds", "target")
    limits = Limits(**dict(zip(names, stored, strict=True)))
    used = Used(trials=n_claimed, steps=int(n_steps), seconds=lived, device_seconds=busy, best=best)
    is_out_of_cells = n_draws is not None and next_draw >= n_draws and not n_waiting
    reached = reached_limits(limits, used, spec.direction)
    return _Standing(
        desired=Desired(desired),
        reason=reason,
        limits=limits,
        n_draws=n_draws,
        used=used,
        n_waiting=n_waiting,
        reached=reached,
        has_ended=bool(reached or is_out_of_cells) and not has_open,
        step_noun=spec.step_noun,
    )


def _said(number: int, retry_of: int | None) -> str:
    return str(number) if retry_of is None else f"{number} (retry of {retry_of})"


def _listed(agents: Sequence[Row]) -> str:
    names = ", ".join(f"{host} (pid {pid})" for host, pid in agents[:5])
    more = f" and {len(agents) - 5} more" if len(agents) > 5 else ""
    return f"{names}{more} still {'works' if len(agents) == 1 else 'work'}"
