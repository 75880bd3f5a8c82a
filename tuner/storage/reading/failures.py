"""Reads of failures, and of the params that failed trials have in common."""

from dataclasses import dataclass

from sqlalchemy import Connection

from tuner.space import decode_param
from tuner.storage.reading.rows import read_rows
from tuner.study.trial import ParamValue

MAX_EXPLAINED = 10  # kinds of failure whose params are looked at
MAX_NAMED = 8  # trials of a kind
# A range of params is significant when so few of the trials that ended well are in it.
_RARE = 0.25
_MIN_GOOD = 2


@dataclass(frozen=True, kw_only=True)
class SharedParam:
    """A parameter range that failed trials share, and that others mostly do not."""

    name: str
    low: ParamValue
    high: ParamValue  # the same as `low` where all have one value


@dataclass(frozen=True, kw_only=True)
class FailureRow:
    """FAIL trials with the same reason, apart from numbers in it."""

    reason: str  # of the first one
    cause: str | None  # a failure class; None: ended by an Optuna client
    n_trials: int
    numbers: tuple[int, ...]  # of the first ones
    host: str | None  # where all of them ended; None: on several
    device: str | None
    shared: tuple[SharedParam, ...]


def read_failures(connection: Connection, study_id: int) -> list[FailureRow]:
    """Return FAIL trials by reason, most frequent first."""
    found = read_rows(connection, "failures", study_id=study_id)
    rows = []
    for place, row in enumerate(found):
        reason, cause, n_trials, numbers, host, n_hosts, device, n_devices = row
        is_explained = n_trials > 1 and place < MAX_EXPLAINED
        is_one_host = n_trials > 1 and n_hosts == 1
        rows.append(
            FailureRow(
                reason=reason,
                cause=cause,
                n_trials=n_trials,
                numbers=tuple(numbers[:MAX_NAMED]),
                host=host if is_one_host else None,
                device=device if is_one_host and n_devices == 1 else None,
                shared=_read_shared(connection, study_id, reason) if is_explained else (),
            )
        )
    return rows


def _read_shared(connection: Connection, study_id: int, reason: str) -> tuple[SharedParam, ...]:
    shared = []
    for name, low, high, distribution, n_inside, n_good in read_rows(
        connection, "shared_params", study_id=study_id, reason=reason
    ):
        values = decode_param(distribution, low), decode_param(distribution, high)
        is_category = "CategoricalDistribution" in distribution
        if is_category and low != high:
            continue
        is_telling = n_inside < n_good if low == high else n_inside <= _RARE * n_good
        if is_telling and n_good >= _MIN_GOOD:
            shared.append(SharedParam(name=name, low=values[0], high=values[1]))
    return tuple(shared)
