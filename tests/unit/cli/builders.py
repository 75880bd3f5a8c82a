"""Summaries and trials to render."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from tuner.results.best import By
from tuner.results.summary import StudySummary
from tuner.storage.reading.failures import FailureRow
from tuner.storage.reading.rows import AgentRow, CountRow, StudyRow, TrialRow
from tuner.study.activity import Activity
from tuner.study.agents import Desired
from tuner.study.limits import Limits, Used
from tuner.study.trial import Direction, TrialState

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def trial(number: int = 0, **changes: Any) -> TrialRow:
    """A COMPLETE trial."""
    row = TrialRow(
        number=number,
        state=TrialState.COMPLETE,
        value=0.25,
        params={"learning_rate": 0.0123456789, "n_layers": 3},
        n_steps=27,
        started_at=NOON,
        ended_at=NOON,
        attempt=1,
        reason=None,
        failure=None,
        host="box",
        device="cpu:0",
        retry_of=None,
        user_attrs={"train_loss": 0.125, "best_step": 26, "seconds": 1.5},
    )
    return replace(row, **changes)


def agent(**changes: Any) -> AgentRow:
    """An agent that beat a second ago."""
    row = AgentRow(
        host="box",
        pid=42,
        devices=("cpu:0", "cpu:1"),
        joined_at=NOON,
        left_at=None,
        silent_seconds=1.0,
        seconds_lived=60.0,
        device_seconds_busy=100.0,
        trials=(7, 8),
        activity=Activity(),
    )
    return replace(row, **changes)


def counts(**n_trials: int) -> dict[TrialState, CountRow]:
    """Ten steps and half a second a trial."""
    return {
        (state := TrialState(name)): CountRow(
            state=state,
            n_trials=n,
            n_steps=10 * n,
            seconds=n / 2,
        )
        for name, n in n_trials.items()
    }


def study(**changes: Any) -> StudyRow:
    """A study of 100 trials, all claimed."""
    row = StudyRow(
        study_id=1,
        name="digits",
        direction=Direction.MINIMIZE,
        metric="val_loss",
        created_at=NOON,
        spec={},
        limits=Limits(trials=100),
        n_draws=None,
        next_draw=100,
        n_claimed=100,
        desired=Desired.RUNNING,
        reason=None,
        code=None,
    )
    return replace(row, **changes)


def used(**changes: Any) -> Used:
    """All trials, a minute."""
    amounts = Used(trials=100, steps=1000, seconds=60.0, device_seconds=100.0, best=0.25)
    return replace(amounts, **changes)


def summary(**changes: Any) -> StudySummary:
    """A finished study of 100 trials; what was claimed follows the counts."""
    whole = StudySummary(
        study=study(),
        used=used(),
        n_open=0,
        counts=counts(COMPLETE=20, PRUNED=80),
        n_steps_full=27,
        n_steps_saved=1360,
        span_seconds=75.0,
        best=trial(3),
        best_by=By.VALUE,
        confirmation=None,
        fixed_params={"epochs": 27},
        step_noun="epoch",
        needs_study_file=False,
        lease_seconds=30.0,
        failures=(),
        agents=(),
        outlook=None,
    )
    if "counts" in changes:
        rows = changes["counts"].values()
        changes.setdefault("used", used(trials=sum(row.n_trials for row in rows)))
        changes.setdefault("n_open", sum(row.n_trials for row in rows if row.state.is_at_work))
    return replace(whole, **changes)


def failure(reason: str, n_trials: int = 1, **changes: Any) -> FailureRow:
    """FAIL trials of one reason."""
    row = FailureRow(
        reason=reason,
        cause="exception",
        n_trials=n_trials,
        numbers=tuple(range(min(n_trials, 8))),
        host=None,
        device=None,
        shared=(),
    )
    return replace(row, **changes)
