"""Creation of a study, or joining of the existing one if it is the same."""

import json
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from tuner.errors import StudyMismatch
from tuner.storage.connections.connection import Database
from tuner.storage.connections.sessions import Session, run
from tuner.study.agents import Desired
from tuner.study.code import Code, changed_files
from tuner.study_file.identity import (
    Difference,
    compare_specs,
    dump_spec,
    parse_spec,
    render_differences,
)
from tuner.study_file.model import CodePolicy, StudySpec

_OTHER_CODE = (
    "this machine trains with the given one; `tuner show` marks the trials that it trained"
)


@dataclass(frozen=True, kw_only=True)
class JoinedStudy:
    """A study in the database, and its relation to this study file."""

    study_id: int
    is_new: bool  # made by this call
    unique_id: str  # of this study among all databases, safe in paths
    n_trials: int | None  # the stored budget; None: other limits end the study
    lease_seconds: float  # the stored one: agents that judged by their own would rob each other
    notices: tuple[Difference, ...]  # differences that are allowed
    desired: Desired = Desired.RUNNING
    reason: str | None = None  # why it is paused or stopping


@dataclass(frozen=True, kw_only=True)
class FoundStudy:
    """The study that the database holds under a name."""

    study_id: int
    spec: dict[str, Any]  # `dump_spec`
    fingerprint: str  # of the data
    n_trials: int | None
    desired: Desired
    reason: str | None  # why it is not running
    created_at: datetime
    code: Code | None  # None: made by a version that did not note it


def join_study(
    database: Database,
    spec: StudySpec,
    fingerprint: str,
    n_draws: int | None = None,
    code: Code | None = None,
) -> JoinedStudy:
    """Create the study unless it exists; join it if it means the same.

    `n_draws`: of its sampler, None for no end. Trials that the file enqueues are enqueued once.
    Raises `StudyMismatch` with a diff for another search, other data, other code of the objective
    if one of the two has `code: refuse`, or an Optuna study of this name that tuner did not create.
    Nothing is written then.
    """
    session = Session(database)
    try:
        rows = session.rows("join", "find", {"name": spec.name})
        while not rows:
            joined = _create(session, spec, fingerprint, n_draws, code or {})
            if joined is not None:
                return joined
            rows = session.rows("join", "find", {"name": spec.name})  # none if deleted meanwhile
        found = _found(spec.name, rows[0])
    finally:
        session.close()
    return _compare(spec, fingerprint, code or {}, found)


def _create(
    session: Session, spec: StudySpec, fingerprint: str, n_draws: int | None, code: Code
) -> JoinedStudy | None:
    """Create the study in one transaction; None if another session was first with this name."""
    new = {**_new_study(spec, fingerprint), "n_draws": n_draws, "code": json.dumps(dict(code))}
    with session.transaction("join", "create", new) as (cursor, rows):
        if not rows:
            return None
        ((study_id, created_at),) = rows
        run(cursor, "join", "start_clock", {"study_id": study_id})
        fixed = [json.dumps(dict(params)) for params in spec.enqueue]
        run(cursor, "join", "enqueue", {"study_id": study_id, "fixed": fixed})
    return JoinedStudy(
        study_id=study_id,
        is_new=True,
        unique_id=_unique_id(created_at),
        n_trials=spec.budget.trials,
        lease_seconds=spec.failures.lease_seconds,
        notices=(),
    )


def _new_study(spec: StudySpec, fingerprint: str) -> dict[str, object]:
    attributes = {"tuner:metric": spec.metric, "tuner:data_fingerprint": fingerprint}
    return {
        "name": spec.name,
        "direction": spec.direction.name,
        "keys": list(attributes),
        "values": [json.dumps(value) for value in attributes.values()],
        "spec": json.dumps(dump_spec(spec)),
        "fingerprint": fingerprint,
        "metric": spec.metric,
        "limit_trials": spec.budget.trials,
        "limit_steps": spec.budget.epochs,
        "limit_seconds": spec.budget.time_seconds,
        "limit_device_seconds": spec.budget.gpu_seconds,
        "target": spec.budget.target,
    }


def _found(name: str, row: tuple[Any, ...]) -> FoundStudy:
    study_id, stored, fingerprint, n_trials, desired, reason, created_at, code = row
    if stored is None:
        raise StudyMismatch(
            f"the study {name!r} in this database was made by another Optuna program; "
            "give the study file another name"
        )
    return FoundStudy(
        study_id=study_id,
        spec=stored,
        fingerprint=fingerprint,
        n_trials=n_trials,
        desired=Desired(desired),
        reason=reason,
        created_at=created_at,
        code=code,
    )


def _unique_id(created_at: datetime) -> str:
    """Return the creation time in microseconds, which no two studies share in practice."""
    return f"{created_at:%Y%m%d-%H%M%S-%f}"


def _compare(spec: StudySpec, fingerprint: str, code: Code, found: FoundStudy) -> JoinedStudy:
    stored = parse_spec(found.spec)
    comparison = compare_specs(stored, spec)
    differences = list(comparison.identity)
    if not differences and found.fingerprint != fingerprint:
        # Same spec, other arrays: another version of the source, for instance.
        data = Difference(path="data", stored=found.fingerprint[:12], given=fingerprint[:12])
        differences.append(data)
    changed = _compare_code(found.code, code)
    if differences:
        how = "give this one another name" + (" with --name" if spec.confirms else "")
        raise StudyMismatch(
            f"a different study has the name {spec.name!r}; {how}, or remove the differences:\n"
            f"{render_differences(differences)}"
        )
    if changed and CodePolicy.REFUSE in (stored.code, spec.code):
        whose = "the study" if stored.code is CodePolicy.REFUSE else "this file"
        raise StudyMismatch(
            f"study {spec.name!r} began with other code of its objective, and {whose} says "
            f"`code: refuse`; use that code, or give this one another name:\n"
            f"{render_differences(changed)}"
        )
    return JoinedStudy(
        study_id=found.study_id,
        is_new=False,
        unique_id=_unique_id(found.created_at),
        n_trials=found.n_trials,
        lease_seconds=stored.failures.lease_seconds,
        desired=found.desired,
        reason=found.reason,
        notices=(*comparison.notices, *(replace(c, remark=_OTHER_CODE) for c in changed)),
    )


def _compare_code(stored: Code | None, given: Code) -> list[Difference]:
    return [
        Difference(
            path=f"code of {name}",
            stored=(stored or {}).get(name, "nothing")[:12],
            given=given.get(name, "nothing")[:12],
        )
        for name in changed_files(stored or {}, given)
        if stored is not None
    ]


def is_finished(database: Database, study_id: int) -> bool:
    """Return whether the budget is used up and every trial of it final."""
    session = Session(database)
    try:
        ((n_open, limit_reached, _reason),) = session.rows(
            "claim", "count_open", {"study_id": study_id}
        )
    finally:
        session.close()
    return bool(limit_reached and n_open == 0)
