"""Creation of a study, or joining of the existing one if it is the same."""

import json
from collections.abc import Collection, Mapping
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
    keep_defaults,
    parse_spec,
    render_algorithm,
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
    n_rows: int | None  # of the data; None: not known


def join_study(
    database: Database,
    spec: StudySpec,
    fingerprint: str,
    n_draws: int | None = None,
    code: Code | None = None,
    *,
    n_rows: int | None = None,
) -> JoinedStudy:
    """Create the study unless it exists; join it if it means the same.

    `n_draws`: of its sampler, None for no end. `n_rows`: of the data, for the message about other
    data. Trials that the file enqueues are enqueued once.
    Raises `StudyMismatch` with a diff for another search, other data, other code of the objective
    if one of the two has `code: refuse`, or an Optuna study of this name that tuner did not create.
    Nothing is written then.
    """
    session = Session(database)
    try:
        rows = session.rows("join", "find", {"name": spec.name})
        while not rows:
            new = _new_study(spec, fingerprint, n_rows)
            joined = _create(session, spec, {**new, "n_draws": n_draws}, code or {})
            if joined is not None:
                return joined
            rows = session.rows("join", "find", {"name": spec.name})  # none if deleted meanwhile
        found = _found(spec.name, rows[0])
    finally:
        session.close()
    return _compare(spec, (fingerprint, n_rows), code or {}, found)


def read_defaults(
    database: Database, spec: StudySpec, unnamed: Collection[str]
) -> tuple[StudySpec, tuple[str, ...]]:
    """Return the spec with the defaults that its study was created with, and a note on each.

    `unnamed` are the keys that the study file does not name. Without a study of this name nothing
    changes.
    """
    session = Session(database)
    try:
        rows = session.rows("join", "find", {"name": spec.name})
    finally:
        session.close()
    if not rows or rows[0][1] is None:
        return spec, ()
    kept = keep_defaults(parse_spec(rows[0][1]), spec, unnamed)
    notes = [
        f"{name}: the study keeps {render_algorithm(getattr(kept, name))}, the default when it was "
        f"created; the default is now {render_algorithm(getattr(spec, name))}"
        for name in sorted(unnamed)
        if getattr(kept, name) != getattr(spec, name)
    ]
    return kept, tuple(notes)


def _create(
    session: Session, spec: StudySpec, new: Mapping[str, object], code: Code
) -> JoinedStudy | None:
    """Create the study in one transaction; None if another session was first with this name."""
    given = {**new, "code": json.dumps(dict(code))}
    with session.transaction("join", "create", given) as (cursor, rows):
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


def _new_study(spec: StudySpec, fingerprint: str, n_rows: int | None) -> dict[str, object]:
    attributes: dict[str, object] = {
        "tuner:metric": spec.metric,
        "tuner:data_fingerprint": fingerprint,
    }
    if n_rows is not None:
        attributes["tuner:data_rows"] = n_rows
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
        "priority": spec.priority,
    }


def _found(name: str, row: tuple[Any, ...]) -> FoundStudy:
    study_id, stored, fingerprint, n_trials, desired, reason, created_at, code, rows = row
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
        n_rows=None if rows is None else int(json.loads(rows)),
    )


def _unique_id(created_at: datetime) -> str:
    """Return the creation time in microseconds, which no two studies share in practice."""
    return f"{created_at:%Y%m%d-%H%M%S-%f}"


def _compare(
    spec: StudySpec, data: tuple[str, int | None], code: Code, found: FoundStudy
) -> JoinedStudy:
    """Compare the file with the stored study; `data`: fingerprint and rows of this machine."""
    stored = parse_spec(found.spec)
    comparison = compare_specs(stored, spec)
    differences = list(comparison.identity)
    if not differences and found.fingerprint != data[0]:
        # Same spec, other arrays: another version of the source, for instance.
        stored_text, given_text = _data_text(found.fingerprint, found.n_rows), _data_text(*data)
        differences.append(Difference(path="data", stored=stored_text, given=given_text))
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


def _data_text(fingerprint: str, n_rows: int | None) -> str:
    """Render `3,000 rows with the fingerprint 2e409fffb839`."""
    rows = "" if n_rows is None else f"{n_rows:,} rows with the fingerprint "
    return f"{rows}{fingerprint[:12]}"


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
