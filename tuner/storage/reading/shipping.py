"""Reads for shipping: the best trials, their origin, and their weights."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from tuner.errors import RunFailed
from tuner.storage.reading.rows import read_rows
from tuner.study.code import Code
from tuner.study.suggestion import Basis
from tuner.study.trial import Direction


@dataclass(frozen=True, kw_only=True)
class OriginRow:
    """The origin of a trial."""

    seed: int
    draw: int | None  # None: enqueued
    device: str | None
    code: Code | None  # that the attempt ran which ended it
    about: Mapping[str, Any] = field(default_factory=dict)  # packages, git commit, devices


@dataclass(frozen=True, kw_only=True)
class WeightsRow:
    """Kept weights of a trial."""

    number: int
    weights_id: int
    step: int
    sha256: str
    n_bytes: int


def read_top_numbers(
    connection: Connection,
    study_id: int,
    direction: Direction,
    n_trials: int,
    *,
    distinct: bool = False,
) -> list[int]:
    """Return the best COMPLETE trials, best first; `distinct`: no two with the same params."""
    rows = read_rows(
        connection,
        "top",
        study_id=study_id,
        minimize=direction is Direction.MINIMIZE,
        n_trials=n_trials,
        distinct=distinct,
    )
    return [number for (number,) in rows]


def read_origin(connection: Connection, study_id: int, number: int) -> OriginRow | None:
    """Return the origin of a trial; None for one that no tuner agent has trained."""
    rows = read_rows(connection, "origin", study_id=study_id, number=number)
    if not rows:
        return None
    seed, draw, device, code, about = rows[0]
    return OriginRow(seed=seed, draw=draw, device=device, code=code, about=about or {})


def read_weights(connection: Connection, study_id: int, direction: Direction) -> list[WeightsRow]:
    """Return the trials whose weights are kept, the best first."""
    rows = read_rows(
        connection, "weights", study_id=study_id, minimize=direction is Direction.MINIMIZE
    )
    return [
        WeightsRow(number=number, weights_id=weights_id, step=step, sha256=sha256, n_bytes=n_bytes)
        for number, weights_id, step, sha256, n_bytes in rows
    ]


def read_weights_content(connection: Connection, weights: WeightsRow) -> bytes:
    """Return the file as the worker wrote it; raises `RunFailed` if it has been damaged since."""
    rows = read_rows(connection, "weights_content", weights_id=weights.weights_id)
    content = b"".join(bytes(part) for (part,) in rows)
    if hashlib.sha256(content).hexdigest() != weights.sha256:
        raise RunFailed(
            f"the stored weights of trial {weights.number} are damaged: their sha256 differs; "
            "export without --weights"
        )
    return content


def read_linked_name(connection: Connection, name: str, created_at: str) -> str | None:
    """Return the newest study that confirms the one of this name and creation time, or None."""
    rows = read_rows(connection, "linked", name=name, created_at=created_at)
    return rows[0][0] if rows else None


def read_values(
    connection: Connection, study_id: int, numbers: Sequence[int]
) -> dict[int, float | None]:
    """Return the final values of these trials."""
    rows = read_rows(connection, "values_of", study_id=study_id, numbers=list(numbers))
    return {number: value for number, value in rows}


def read_metrics(connection: Connection, study_id: int, number: int) -> dict[int, dict[str, float]]:
    """Return a trial's metrics by step, apart from the objective."""
    found: dict[int, dict[str, float]] = {}
    for step, name, value in read_rows(connection, "metrics", study_id=study_id, number=number):
        found.setdefault(step, {})[name] = value
    return found


def read_basis(connection: Connection, study_id: int, number: int) -> Basis | None:
    """Return the sampler's basis of a suggestion; None if no model suggested it."""
    rows = read_rows(connection, "basis", study_id=study_id, number=number)
    if not rows:
        return None
    seed, place, highest, open_numbers, hidden, open_rungs = rows[0]
    return Basis(
        seed=seed,
        place=place,
        highest=highest,
        open_numbers=tuple(open_numbers),
        hidden=tuple(hidden),
        open_rungs=tuple(open_rungs),
    )
