"""The claim: trials for this agent, in one transaction."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from optuna.distributions import BaseDistribution

from tuner.errors import StudyGone
from tuner.space import ParamRow, decode_param, encode_params, fitting_params
from tuner.storage.connections.sessions import Row, Session, run, run_all
from tuner.study.agents import AgentBeat, Desired
from tuner.study.checkpoint import Checkpoint
from tuner.study.failure import MAX_LOSSES
from tuner.study.lease import Claimed, ClaimedTrial, Origin
from tuner.study.seeds import derive_seed
from tuner.study.suggestion import Suggestion
from tuner.study.trial import AttemptKey, Params
from tuner.study_file.text.faults import quote

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

Suggest = Callable[[Sequence[int]], Sequence[Suggestion]]
Complete = Callable[[int, Params], Params]

MAX_REASON = 500  # characters


@dataclass(frozen=True, kw_only=True)
class Claimer:
    """The constants of all claims."""

    study_id: int
    me: UUID
    boot: str
    memory_bytes: int | None  # of its largest device
    study_seed: int
    lease_seconds: float
    distributions: Mapping[str, BaseDistribution]


@dataclass(frozen=True, kw_only=True)
class NewTrial:
    """A trial about to be leased for the first time."""

    number: int
    trial_id: int
    draw: int | None
    suggestion: Suggestion
    retry_of: int | None = None


def claim(
    claimer: Claimer,
    session: Session,
    known: Sequence[AttemptKey],
    limit: int,
    silent: Sequence[AgentBeat],
    suggest: Suggest,
    complete: Complete,
) -> Claimed:
    """Claim up to `limit` trials: adopted, taken over, released, enqueued, then new draws.

    Lost work goes before new work. Number, params, budget and lease of a new trial appear in one
    commit. `suggest` may return fewer suggestions than draws: then fewer trials are created. A
    paused study gives out nothing; for a stopping one, trials that no agent holds are ended. Raises
    `StudyGone` when the study was deleted.
    """
    study = {"study_id": claimer.study_id}
    with session.transaction("claim", "lock_numbers", study) as (cursor, found):
        if not found:
            raise StudyGone("the study was deleted while this agent worked on it")
        desired = Desired(found[0][0])
        origins: dict[int, Origin] = {}
        _take_existing(claimer, cursor, known, limit, silent, origins, desired)
        if limit > len(origins) and desired is Desired.RUNNING:
            _take_new(claimer, cursor, limit - len(origins), suggest, complete, origins)
        held = _load_held(claimer, cursor, origins)
        ((n_open, limit_reached, reason),) = run(cursor, "claim", "count_open", study)
    return Claimed(trials=held, n_open=n_open, limit_reached=limit_reached, reason=reason)


def _take_existing(
    claimer: Claimer,
    cursor: "Cursor",
    known: Sequence[AttemptKey],
    limit: int,
    silent: Sequence[AgentBeat],
    origins: dict[int, Origin],
    desired: Desired,
) -> None:
    """Take existing trials; adopted ones in any desired state: this agent holds them already."""
    params = {
        "study_id": claimer.study_id,
        "me": claimer.me,
        "boot": claimer.boot,
        "memory_bytes": claimer.memory_bytes or 0,
        "lease_seconds": claimer.lease_seconds,
        "max_losses": MAX_LOSSES,
        "known_numbers": [key.number for key in known],
        "known_attempts": [key.attempt for key in known],
        "silent_agents": [beat.agent_id for beat in silent],
        "silent_beats": [beat.beat for beat in silent],
    }
    queries = ("adopt", "take_over", "take_free") if desired is Desired.RUNNING else ("adopt",)
    for query in queries:
        room = limit - len(origins)
        if room <= 0 or (query == "take_over" and not silent):
            continue
        for number, _attempt, origin in run(cursor, "claim", query, {**params, "limit": room}):
            origins[number] = Origin(origin)
    if desired is Desired.STOPPING:
        run(cursor, "claim", "close", params)


def _take_new(
    claimer: Claimer,
    cursor: "Cursor",
    room: int,
    suggest: Suggest,
    complete: Complete,
    origins: dict[int, Origin],
) -> None:
    """Take enqueued trials, then new draws, within the budget."""
    study = {"study_id": claimer.study_id}
    ((n_left, next_draw, n_draws_left),) = run(cursor, "claim", "lock_budget", study)
    room = min(room, n_left)
    if room <= 0:
        return
    waiting, n_refused = _take_waiting(claimer, cursor, room, complete)
    n_draws = max(0, min(room - len(waiting) - n_refused, n_draws_left))
    drawn = _draw(claimer, cursor, range(next_draw, next_draw + n_draws), suggest)
    trials = waiting + drawn
    if trials or n_refused:
        _lease(claimer, cursor, trials, n_claimed=len(trials) + n_refused, n_draws=len(drawn))
    origins.update((trial.number, Origin.WAITING) for trial in waiting)
    origins.update((trial.number, Origin.NEW) for trial in drawn)


def _take_waiting(
    claimer: Claimer, cursor: "Cursor", room: int, complete: Complete
) -> tuple[list[NewTrial], int]:
    """Take enqueued trials that can start; also return the number of those refused."""
    taken: list[NewTrial] = []
    n_refused = 0
    params = {"study_id": claimer.study_id, "limit": room}
    for row in run(cursor, "claim", "take_waiting", params):
        trial_id, number, fixed_json, draw, retry_of = row
        fixed = _load_fixed_params(fixed_json)
        fitting = fitting_params(fixed or {}, claimer.distributions)
        if fixed is None or len(fitting) < len(fixed):
            n_refused += 1
            own = {"study_id": claimer.study_id, "me": claimer.me}
            about = {"trial_id": trial_id, "number": number, "reason": _misfit(fixed, fitting)}
            run(cursor, "claim", "refuse_waiting", {**own, **about})
            continue
        suggestion = Suggestion(params=complete(number, fitting))
        taken.append(
            NewTrial(
                number=number,
                trial_id=trial_id,
                draw=draw,
                suggestion=suggestion,
                retry_of=retry_of,
            )
        )
    return taken, n_refused


def _load_fixed_params(fixed_json: str | None) -> Params | None:
    """Parse the params of Optuna's `enqueue_trial`: empty for a bare trial, None if invalid.

    Other programs write here: no content may stop the agents.
    """
    try:
        fixed = json.loads(fixed_json) if fixed_json else {}
    except (ValueError, RecursionError):
        return None
    return fixed if isinstance(fixed, dict) else None


def _misfit(fixed: Params | None, fitting: Params) -> str:
    if fixed is None:
        misfits = "they are no mapping"
    else:
        misfits = ", ".join(
            f"{name if name.isprintable() else repr(name)}={quote(value)}"
            for name, value in fixed.items()
            if name not in fitting
        )
    reason = f"enqueued params do not fit the search space: {misfits}"
    return reason if len(reason) <= MAX_REASON else reason[: MAX_REASON - 3] + "..."


def _draw(
    claimer: Claimer, cursor: "Cursor", draws: Sequence[int], suggest: Suggest
) -> list[NewTrial]:
    suggestions = suggest(draws) if draws else ()
    if not suggestions:
        return []
    study = {"study_id": claimer.study_id}
    ((first,),) = run(cursor, "claim", "next_number", study)
    numbers = list(range(first, first + len(suggestions)))
    trial_ids = run(cursor, "claim", "insert_trials", {**study, "numbers": numbers})
    return [
        NewTrial(number=number, trial_id=trial_id, draw=draw, suggestion=suggestion)
        for number, (trial_id,), draw, suggestion in zip(
            numbers, trial_ids, draws, suggestions, strict=False
        )
    ]


def _lease(
    claimer: Claimer, cursor: "Cursor", trials: Sequence[NewTrial], *, n_claimed: int, n_draws: int
) -> None:
    own = {"study_id": claimer.study_id, "me": claimer.me}
    leases = {
        **own,
        "numbers": [t.number for t in trials],
        "trial_ids": [t.trial_id for t in trials],
        "draws": [t.draw for t in trials],
        "retries_of": [t.retry_of for t in trials],
        "seeds": [derive_seed(claimer.study_seed, "trial", t.number) for t in trials],
    }
    rows = [
        (trial.trial_id, row)
        for trial in trials
        for row in encode_params(trial.suggestion.params, claimer.distributions)
    ]
    suggestions = [
        {
            **own,
            "number": trial.number,
            "seed": basis.seed,
            "place": basis.place,
            "highest": basis.highest,
            "open_numbers": list(basis.open_numbers),
            "hidden": list(basis.hidden),
            "open_rungs": list(basis.open_rungs),
            "suggested_by": trial.suggestion.by,
        }
        for trial in trials
        if (basis := trial.suggestion.basis) is not None
    ]
    run_all(
        cursor,
        ("claim", "insert_leases", leases),
        ("claim", "insert_params", _param_arrays(rows)),
        *(("claim", "insert_suggestion", suggestion) for suggestion in suggestions),
        ("claim", "count_claims", {**own, "n_claimed": n_claimed, "n_draws": n_draws}),
    )


def _param_arrays(rows: Sequence[tuple[int, ParamRow]]) -> dict[str, object]:
    return {
        "trial_ids": [trial_id for trial_id, _ in rows],
        "names": [row.name for _, row in rows],
        "values": [row.value for _, row in rows],
        "distributions": [row.distribution_json for _, row in rows],
    }


def _load_held(
    claimer: Claimer, cursor: "Cursor", origins: Mapping[int, Origin]
) -> list[ClaimedTrial]:
    if not origins:
        return []
    own = {"study_id": claimer.study_id, "me": claimer.me, "numbers": sorted(origins)}
    held = [_claimed(row, origins) for row in run(cursor, "claim", "held", own)]
    attempts = [trial.key.attempt for trial in held]
    run(cursor, "claim", "note_claims", {**own, "attempts": attempts})
    return held


def _claimed(row: Row, origins: Mapping[int, Origin]) -> ClaimedTrial:
    number, attempt, draw, seed, failures, losses = row[:6]
    checkpoint_id, step, sha256, n_bytes = row[6:10]
    names, values, distributions, steps, step_values = (part or [] for part in row[10:15])
    checkpoint = (
        Checkpoint(checkpoint_id=checkpoint_id, step=step, sha256=sha256, n_bytes=n_bytes)
        if checkpoint_id is not None
        else None
    )
    return ClaimedTrial(
        key=AttemptKey(number=number, attempt=attempt),
        origin=origins[number],
        draw=draw,
        params={
            name: decode_param(distribution, value)
            for name, value, distribution in zip(names, values, distributions, strict=True)
        },
        seed=seed,
        failures=failures,
        losses=losses,
        checkpoint=checkpoint,
        history={
            step: value for step, value in zip(steps, step_values, strict=True) if value is not None
        },
        seconds=row[15],
        follows_failure=row[16],
        short_of_bytes=row[17],
    )
