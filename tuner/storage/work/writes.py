"""Reports, decisions and checkpoints under the fence, and the ends of attempts."""

import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO
from uuid import UUID

from tuner.storage.connections.sessions import Session, Statement, run, run_all
from tuner.storage.work.checkpoints import Register
from tuner.storage.work.kept_weights import keep_weights
from tuner.storage.work.spooled import open_intact
from tuner.study.checkpoint import SavedFile
from tuner.study.decision import DecisionRecord
from tuner.study.lease import Batch, End, Finish, Release
from tuner.study.report import Report
from tuner.study.secrets import redact
from tuner.study.trial import AttemptKey, TrialState

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")  # Postgres text holds neither


@dataclass(frozen=True, kw_only=True)
class Writer:
    """The writing agent, and the name of the objective among the reported values."""

    study_id: int
    me: UUID
    boot: str
    metric: str
    minimize: bool
    register: Register  # of checkpoints
    stop_after: int | None  # failed attempts in a row; None: never
    keep_best: int = 0  # COMPLETE trials whose weights stay


def write_batch(writer: Writer, session: Session, batch: Batch) -> frozenset[AttemptKey]:
    """Write all lanes in one statement; with checkpoints, one transaction.

    Return the lost attempts.
    """
    params = _report_params(writer, batch)
    if not batch.checkpoints:
        return _missing(batch, session.rows("report", "report", params))
    replaced: list[str] = []
    with (
        writer.register.contents(batch.checkpoints) as contents,
        session.transaction("report", "report", params) as (cursor, kept),
    ):
        for saved, content in contents.items():
            replaced += writer.register.store(cursor, saved, content)
    writer.register.committed(contents, replaced)
    return _missing(batch, kept)


def write_ends(writer: Writer, session: Session, ends: Sequence[End]) -> frozenset[AttemptKey]:
    """End attempts, with all their reports again, in one transaction; return the lost ones."""
    by_key = {end.key: end for end in ends}
    states = [end.checkpoint for end in ends if isinstance(end, Release) and end.checkpoint]
    weights = [end.weights for end in ends if isinstance(end, Finish) and end.weights]
    replaced: list[str] = []
    own = {"study_id": writer.study_id, "me": writer.me, "boot": writer.boot}
    keys = {**own, **_key_arrays(by_key)}
    with (
        writer.register.contents(states) as to_resume,
        open_intact(weights) as to_keep,
        session.transaction("end", "fence_ends", keys) as (cursor, fenced),
    ):
        held = {
            AttemptKey(number=number, attempt=attempt): trial_id
            for number, attempt, trial_id, is_held in fenced
            if is_held
        }
        mine = [by_key[key] for key in held]
        finishes = [end for end in mine if isinstance(end, Finish)]
        if mine:
            reports = Batch(
                reports=[report for end in mine for report in end.reports],
                decisions=[decision for end in mine for decision in end.decisions],
            )
            run_all(
                cursor,
                ("report", "report", _report_params(writer, reports, finishes)),
                *_log_statements(writer, mine),
                *_finish_statements(writer, own, finishes, held),
            )
            for saved, state in to_resume.items():
                if saved.key in held:
                    replaced += writer.register.store(cursor, saved, state)
            for saved, content in to_keep.items():
                if saved.key in held:
                    _keep_weights(writer, cursor, saved, content)
            _release(own, cursor, [end for end in mine if isinstance(end, Release)])
            _count_failures(writer, cursor, mine)
    writer.register.committed(to_resume, replaced)
    writer.register.ended(by_key, [end.key.number for end in mine if isinstance(end, Finish)])
    done = {AttemptKey(number=number, attempt=attempt) for number, attempt, _, _ in fenced}
    return frozenset(by_key.keys() - done)


def _keep_weights(writer: Writer, cursor: "Cursor", saved: SavedFile, content: BinaryIO) -> None:
    keep_weights(
        cursor,
        writer.study_id,
        writer.me,
        saved,
        content,
        n_best=writer.keep_best,
        minimize=writer.minimize,
    )


def _missing(batch: Batch, kept: Sequence[tuple[int, int]]) -> frozenset[AttemptKey]:
    mine = {AttemptKey(number=number, attempt=attempt) for number, attempt in kept}
    return frozenset(_keys(batch) - mine)


def _keys(batch: Batch) -> set[AttemptKey]:
    reported = {report.key for report in batch.reports}
    decided = {decision.key for decision in batch.decisions}
    printed = {printed.key for printed in batch.printed}
    return reported | decided | printed | {saved.key for saved in batch.checkpoints}


def _key_arrays(keys: Collection[AttemptKey]) -> dict[str, object]:
    return {"numbers": [k.number for k in keys], "attempts": [k.attempt for k in keys]}


def _report_params(
    writer: Writer, batch: Batch, finishes: Sequence[Finish] = ()
) -> dict[str, object]:
    # A step that was reported twice counts once, with the last values.
    reports = list({(r.key, r.step): r for r in batch.reports}.values())
    keys = _keys(batch) | {finish.key for finish in finishes}
    return {
        "study_id": writer.study_id,
        "me": writer.me,
        **_key_arrays(keys),
        **_value_arrays(writer, reports),
        **_rung_arrays(writer, reports, finishes),
        **_metric_arrays(writer, reports),
        **_decision_arrays(batch.decisions),
        "p_numbers": [p.key.number for p in batch.printed],
        "p_attempts": [p.key.attempt for p in batch.printed],
        "p_tails": [_storable(p.tail) for p in batch.printed],
        "p_bytes": [p.n_bytes for p in batch.printed],
    }


def _value_arrays(writer: Writer, reports: Sequence[Report]) -> dict[str, object]:
    values = [report.values[writer.metric] for report in reports]
    return {
        "r_numbers": [r.key.number for r in reports],
        "r_attempts": [r.key.attempt for r in reports],
        "r_steps": [r.step for r in reports],
        "r_values": [value if math.isfinite(value) else None for value in values],
        "r_kinds": [_kind(value) for value in values],
    }


def _rung_arrays(
    writer: Writer, reports: Sequence[Report], finishes: Sequence[Finish]
) -> dict[str, object]:
    rows = [
        (r.key.number, r.key.attempt, rung, value, False)
        for r in reports
        if math.isfinite(value := r.values[writer.metric])
        for rung in r.rungs
    ] + [
        (finish.key.number, finish.key.attempt, rung.step, rung.value, rung.is_complete)
        for finish in finishes
        for rung in finish.rungs
    ]
    return _columns(rows, ("g_numbers", "g_attempts", "g_steps", "g_values", "g_complete"))


def _columns(rows: Sequence[tuple[Any, ...]], names: Sequence[str]) -> dict[str, object]:
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return {name: list(column) for name, column in zip(names, columns, strict=True)}


def _kind(value: float) -> str:
    """Return Optuna's TrialIntermediateValueType."""
    if math.isnan(value):
        return "NAN"
    if math.isinf(value):
        return "INF_POS" if value > 0 else "INF_NEG"
    return "FINITE"


def _metric_arrays(writer: Writer, reports: Sequence[Report]) -> dict[str, object]:
    # Names that differ only in unstorable characters are one: a row is written once.
    rows = {
        (report.key.number, report.key.attempt, report.step, _storable(name)): value
        for report in reports
        for name, value in report.values.items()
        if name != writer.metric
    }
    return _columns(
        [(*row, value) for row, value in rows.items()],
        ("m_numbers", "m_attempts", "m_steps", "m_names", "m_values"),
    )


def _decision_arrays(records: Sequence[DecisionRecord]) -> dict[str, object]:
    return {
        "d_numbers": [d.key.number for d in records],
        "d_attempts": [d.key.attempt for d in records],
        "d_steps": [d.step for d in records],
        "d_actions": [d.decision.action.value for d in records],
        "d_reasons": [_storable(d.decision.reason) for d in records],
        "d_seen": [d.snapshot for d in records],
        # As text: arrays of different lengths make no array of arrays.
        "d_local": ["{" + ",".join(map(str, d.local)) + "}" for d in records],
        "d_complete": ["{" + ",".join(map(str, d.local_complete)) + "}" for d in records],
    }


def _finish_statements(
    writer: Writer,
    own: Mapping[str, object],
    finishes: Sequence[Finish],
    trial_ids: Mapping[AttemptKey, int],
) -> list[Statement]:
    if not finishes:
        return []
    attributes = [
        (trial_ids[finish.key], key, json.dumps(value))
        for finish in finishes
        for key, value in _described(finish).items()
    ]
    numbers = [finish.key.number for finish in finishes]
    ended = {
        **own,
        "numbers": numbers,
        "trial_ids": [trial_ids[f.key] for f in finishes],
        "states": [f.state.value for f in finishes],
        "values": [f.value for f in finishes],
        "reasons": [f.reason and _storable(f.reason) for f in finishes],
        "failures": [f.failure and f.failure.cause.value for f in finishes],
        "last_steps": [f.last_step for f in finishes],
        "devices": [f.device for f in finishes],
        "seconds": [f.seconds for f in finishes],
        **_blame(finishes),
        "a_trial_ids": [trial_id for trial_id, _, _ in attributes],
        "a_keys": [key for _, key, _ in attributes],
        "a_values": [value for _, _, value in attributes],
    }
    complete = [finish for finish in finishes if finish.state is TrialState.COMPLETE]
    has_ended_well = any(finish.state is not TrialState.FAIL for finish in finishes)
    reached = {
        **own,
        "numbers": [finish.key.number for finish in complete],
        "values": [finish.value for finish in complete],
        "minimize": writer.minimize,
    }
    return [
        ("end", "finish", ended),
        *([("end", "reach_target", reached)] if complete else []),
        ("end", "drop_checkpoints", {**own, "numbers": numbers}),
        *([("end", "forget_failures", own)] if has_ended_well else []),
    ]


def _described(finish: Finish) -> dict[str, object]:
    """Return the user attributes: facts, and why a trial did not complete."""
    attributes: dict[str, object] = _storable_tree(dict(finish.user_attrs))
    if finish.reason is not None:
        attributes["reason"] = _storable(finish.reason)
    if finish.failure is not None:
        attributes["failure"] = finish.failure.cause.value
    return attributes


def _storable_tree(value: Any) -> Any:
    """Return the same plain JSON values with every text made storable."""
    match value:
        case str():
            return _storable(value)
        case list():
            return [_storable_tree(part) for part in value]
        case dict():
            return {_storable(name): _storable_tree(part) for name, part in value.items()}
        case _:
            return value


def _release(own: Mapping[str, object], cursor: "Cursor", releases: Sequence[Release]) -> None:
    if not releases:
        return
    run(
        cursor,
        "end",
        "release",
        {
            **own,
            "numbers": [r.key.number for r in releases],
            "reasons": [_storable(r.reason) for r in releases],
            **_blame(releases),
            "devices": [r.device for r in releases],
            "seconds": [r.seconds for r in releases],
            "short_of_bytes": [r.short_of_bytes for r in releases],
        },
    )


def _blame(ends: Sequence[End]) -> dict[str, object]:
    """Count failures and losses separately."""
    return {
        "failed": [int(_is_own_failure(end)) for end in ends],
        "lost": [int(end.failure is not None and end.failure.is_loss) for end in ends],
    }


def _is_own_failure(end: End) -> bool:
    """Return whether the trial is at fault; one that is offered to a larger device is not yet."""
    is_offered = isinstance(end, Release) and end.short_of_bytes is not None
    return end.failure is not None and not end.failure.is_loss and not is_offered


def _count_failures(writer: Writer, cursor: "Cursor", ends: Sequence[End]) -> None:
    """Count failures in a row, study-wide; too many of them halt the study."""
    study = {"study_id": writer.study_id}
    failed = [end for end in ends if _is_own_failure(end)]
    if not failed or writer.stop_after is None:
        return
    n_by_params = sum(end.failure.is_by_params for end in failed if end.failure)
    counts = {"n": len(failed) - n_by_params, "n_by_params": n_by_params}
    numbers = [end.key.number for end in failed]
    run(cursor, "end", "count_failures", {**study, **counts, "numbers": numbers})
    last = _storable(f"trial {failed[-1].key.number}: {failed[-1].reason}")
    about = {"me": writer.me, "stop_after": writer.stop_after, "last": last}
    run(cursor, "end", "halt", {**study, **about})


def _log_statements(writer: Writer, ends: Sequence[End]) -> list[Statement]:
    return [
        ("end", "write_log", _log_params(writer, end))
        for end in ends
        if end.failure is not None or end.printed is not None
    ]


def _log_params(writer: Writer, end: End) -> dict[str, object]:
    failure = end.failure
    tail = _storable(end.printed.tail if end.printed else failure.log_tail if failure else "")
    return {
        "study_id": writer.study_id,
        "number": end.key.number,
        "attempt": end.key.attempt,
        "message": _storable(failure.message) if failure else "",
        "traceback": _storable(failure.traceback) if failure else "",
        "tail": tail,
        "n_bytes": end.printed.n_bytes if end.printed else len(tail.encode()),
    }


def _storable(text: str) -> str:
    """Return the text without passwords, with unstorable characters replaced."""
    return redact(_UNSTORABLE.sub("\ufffd", text))
