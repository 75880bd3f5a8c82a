"""tuner for Python and notebooks: run a study file, look at a study.

study = tuner.run("study.yaml")
study = tuner.load_study("digits")
study.best.params, study.dataframe()
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tuner import run_study
from tuner.agent.notices import Notice
from tuner.agent.signals import agent_signals
from tuner.cli.screen.views import PlainView
from tuner.cli.text.summary import render_headline
from tuner.errors import HaltedByFailures, NoCompleteTrial, TunerError, UsageError
from tuner.results.best import By
from tuner.results.status import StudyStatus, find_status
from tuner.results.summary import StudySummary, load_whole
from tuner.storage.connections.connection import storage_setting
from tuner.storage.opening import open_database
from tuner.storage.reading.rows import TrialRow
from tuner.storage.schema.migrations import migrate
from tuner.study.command_line import study_command
from tuner.study.ending import EndingKind

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, kw_only=True)
class Study:
    """A study as of its loading."""

    summary: StudySummary
    trials: tuple[TrialRow, ...]  # by number
    storage: str | None  # as it was given
    by: Literal["value", "confirmed"] | None = None  # how the best trial is chosen

    @property
    def name(self) -> str:
        return self.summary.study.name

    @property
    def best(self) -> TrialRow:
        """Return the best COMPLETE trial: the confirmed one, if any (`is_confirmed`).

        Raises `NoCompleteTrial`.
        """
        if self.summary.best is None:
            raise NoCompleteTrial(f"study {self.name!r} has no COMPLETE trial yet")
        return self.summary.best

    @property
    def is_confirmed(self) -> bool:
        """Return whether a confirmation found `best` to be the best; otherwise its value did."""
        return self.summary.best_by is By.CONFIRMED

    @property
    def status(self) -> StudyStatus:
        """Return state, limits, time left, and the other facts of `tuner status`."""
        return find_status(self.summary)

    def dataframe(self) -> "pandas.DataFrame":
        """Return a pandas table with a row per trial.

        Columns are named as in Optuna's `trials_dataframe`. Raises `TunerError` without pandas.
        """
        try:
            import pandas  # noqa: PLC0415 - optional
        except ImportError:
            raise TunerError("a table needs pandas: pip install pandas") from None
        return pandas.DataFrame([_row(trial) for trial in self.trials])

    def refresh(self) -> "Study":
        """Return the same study as it is now."""
        return load_study(self.name, storage=self.storage, by=self.by)

    def __repr__(self) -> str:
        return f"<Study {render_headline(self.summary)}>"


def run(
    study_file: str | Path,
    *,
    storage: str | None = None,
    workers: int | None = None,
    overrides: tuple[str, ...] = (),
    quiet: bool = False,
) -> Study:
    """Create or resume the study of a file, work on it here until it ends, and return it.

    `storage`: as `--storage`; `workers`: CPU workers, one per core by default; `overrides`: as
    `--set`. A signal releases the trials, then raises `KeyboardInterrupt` or
    `SystemExit`, as it would have done. Raises `HaltedByFailures` when too many trials failed in
    a row, `TunerError` with one sentence for everything else.
    """
    if threading.current_thread() is not threading.main_thread():
        raise UsageError("tuner.run handles signals: call it from the main thread")
    path = _check_path(study_file)
    _check_options(workers, overrides)
    _check_text("storage", storage)
    options = run_study.RunOptions(
        storage=storage_setting(storage), workers=workers, overrides=tuple(overrides)
    )
    with _own_signals():
        outcome = run_study.run(path, options, _Silence() if quiet else PlainView())
    if outcome.ending.kind is EndingKind.INTERRUPTED:
        raise KeyboardInterrupt
    if outcome.ending.kind is EndingKind.TERMINATED:
        raise SystemExit(128 + signal.SIGTERM)
    if outcome.ending.kind is EndingKind.HALTED:
        raise HaltedByFailures(
            f"study {outcome.name!r} is halted ({outcome.ending.reason}); fix the cause, then "
            f"`{study_command('resume', outcome.name)}`"
        )
    return load_study(outcome.name, storage=storage)


def _check_path(given: object) -> Path:
    if isinstance(given, str | Path):
        return Path(given)
    if callable(given):
        name = getattr(given, "__name__", "train")
        raise UsageError(
            f"tuner.run takes the path of a study file, not the function {name}; name it in the "
            f"file, as in `objective: train.py:{name}`"
        )
    raise UsageError(f"tuner.run takes the path of a study file, not a {type(given).__name__}")


def _check_options(workers: object, overrides: Any) -> None:
    is_count = isinstance(workers, int) and not isinstance(workers, bool) and workers >= 1
    if workers is not None and not is_count:
        raise UsageError(f"workers is {workers!r}; give a whole number from 1 on, or None")
    is_listed = isinstance(overrides, tuple | list)
    if not is_listed or not all(isinstance(text, str) for text in overrides):
        raise UsageError(
            f"overrides is {overrides!r}; give a tuple of texts, such as ('budget.trials=20',)"
        )


def _check_text(name: str, given: object) -> None:
    if given is not None and not isinstance(given, str):
        raise UsageError(f"{name} is {given!r}; give text, or None")


@contextmanager
def _own_signals() -> Iterator[None]:
    """Restore the caller's signal handlers: an interrupted run must not end a notebook."""
    before = {number: signal.getsignal(number) for number in agent_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Silence:
    def show(self, notice: Notice) -> None: ...


def load_study(
    name: str, *, storage: str | None = None, by: Literal["value", "confirmed"] | None = None
) -> Study:
    """Load a study by its name, with its trials; raises `NotFound` with close names.

    `by` chooses the criterion of `best`, as in `tuner best --by`.
    """
    if not isinstance(name, str) or "\0" in name:
        raise UsageError(f"tuner.load_study takes the name of a study, not {name!r}")
    if by not in (None, *By):
        raise UsageError(f'by is {by!r}; give "value" or "confirmed"')
    _check_text("storage", storage)
    with open_database(storage_setting(storage)) as database:
        migrate(database)
        summary, trials = load_whole(database, name, None if by is None else By(by))
    return Study(summary=summary, trials=tuple(trials), storage=storage, by=by)


def _row(trial: TrialRow) -> dict[str, Any]:
    return {
        "number": trial.number,
        "state": trial.state.value,
        "value": trial.value,
        "datetime_start": trial.started_at,
        "datetime_complete": trial.ended_at,
        "duration": trial.ended_at - trial.started_at
        if trial.ended_at and trial.started_at
        else None,
        **{f"params_{name}": value for name, value in trial.params.items()},
        **{f"user_attrs_{name}": value for name, value in trial.user_attrs.items()},
        "steps": trial.n_steps,
        "attempts": trial.attempt,
        "host": trial.host,
        "reason": trial.reason,
    }
