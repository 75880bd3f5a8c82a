"""FAIL trials that are retried, and their params."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tuner.errors import NotFound, UsageError
from tuner.space import Distributions, decode_param, fitting_params, to_distributions
from tuner.storage.connections.sessions import Row, Session, run
from tuner.study.command_line import study_command
from tuner.study.trial import ParamValue, TrialState
from tuner.study_file.model import StudySpec

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor


@dataclass(frozen=True, kw_only=True)
class Retry:
    number: int
    draw: int | None
    params: dict[str, ParamValue]


def find_retries(
    session: Session, study_id: int, spec: StudySpec, numbers: Sequence[int] | None
) -> list[Retry]:
    """Return the retries of these trials, or of all FAIL ones without a retry; all or an error.

    It reads many trials, so it takes no lock: `keep_new` checks again under one. Raises `NotFound`
    for a number without a trial, `UsageError` for a trial that cannot be retried.
    """
    wanted = None if numbers is None else sorted(set(numbers))
    rows = session.rows("control", "to_retry", {"study_id": study_id, "numbers": wanted})
    missing = sorted(set(wanted or ()) - {row[0] for row in rows})
    if missing:
        raise NotFound(
            f"study {spec.name!r} has no trial {missing[0]}; "
            f"{study_command('trials', spec.name)} lists them"
        )
    distributions = to_distributions(spec.search_space)
    retries, faults = [], []
    for row in rows:
        retry = _retry(row, spec.name, distributions)
        if isinstance(retry, Retry):
            retries.append(retry)
        elif numbers is not None:
            faults.append(retry)
    if faults:
        raise UsageError("; ".join(faults))
    if not retries:
        raise _nothing(spec)
    return retries


def keep_new(
    cursor: "Cursor", study_id: int, spec: StudySpec, retries: Sequence[Retry], *, is_all: bool
) -> list[Retry]:
    """Keep those without a retry since; raises `UsageError` as `find_retries` does."""
    numbers = [retry.number for retry in retries]
    rows = run(cursor, "control", "retried", {"study_id": study_id, "numbers": numbers})
    retried: dict[int, int | None] = dict(rows)
    if is_all:
        retries = [retry for retry in retries if retry.number not in retried]
        if not retries:
            raise _nothing(spec)
    faults = [_retried_already(n, open_) for n, open_ in sorted(rows) if open_ is not None]
    if faults and not is_all:
        raise UsageError("; ".join(faults))
    return list(retries)


def _nothing(spec: StudySpec) -> UsageError:
    return UsageError(f"study {spec.name!r} has no FAIL trial that can be retried")


def _retried_already(number: int, open_retry: int) -> str:
    return f"trial {number} is being retried already, as trial {open_retry}"


def _retry(row: Row, study: str, distributions: Distributions) -> Retry | str:
    """Return the retry, or the reason against one."""
    number, state, draw, names, values, texts, open_retry = row
    if state != TrialState.FAIL:
        again = study_command("enqueue", study, values="NAME=VALUE ...")
        is_over = state in (TrialState.COMPLETE, TrialState.PRUNED)
        hint = f"; {again} trains its params in a new trial" if is_over else ""
        return f"trial {number} is {state}; only FAIL trials are retried{hint}"
    if open_retry is not None:
        return _retried_already(number, open_retry)
    given = zip(names or (), values or (), texts or (), strict=True)
    params = {name: decode_param(text, value) for name, value, text in given}
    fitting = fitting_params(params, distributions)
    if not fitting or fitting != params:
        return f"trial {number}: its params do not fit the search space, so it would fail again"
    return Retry(number=number, draw=draw, params=fitting)
