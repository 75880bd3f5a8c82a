"""The best trials of a study as configs for their final training, read in one snapshot."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tuner.errors import NoCompleteTrial, NotFound, UsageError
from tuner.export.code_source import folder_of_code
from tuner.export.reproduction import device_of
from tuner.results.best import By
from tuner.results.confirmation import Confirmation
from tuner.results.progress import StudyState, find_state
from tuner.results.summary import StudySummary, summarize, trials_of
from tuner.storage.connections.connection import Database, Snapshot
from tuner.storage.reading.rows import TrialRow, find_row, read_trials
from tuner.storage.reading.shipping import (
    OriginRow,
    WeightsRow,
    read_origin,
    read_top_numbers,
    read_weights,
    read_weights_content,
)
from tuner.storage.reading.trials import read_curve
from tuner.study.command_line import file_option, study_command
from tuner.study.seeds import derive_seed
from tuner.study.trial import FINAL_STATES
from tuner.study_file.best import BestConfig
from tuner.study_file.identity import parse_spec, render_algorithm
from tuner.study_file.model import StudySpec


@dataclass(frozen=True, kw_only=True)
class KeptWeights:
    """A trial's own weights: the file's content, as the worker wrote it."""

    content: bytes
    sha256: str
    step: int  # the epoch that they are of


@dataclass(frozen=True, kw_only=True)
class Exported:
    """One trial, ready to be written."""

    config: BestConfig
    number: int
    value: float | None
    is_so_far: bool  # whether the study continues, so that a better one may come
    weights: KeptWeights | None = None


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The requested trials: one number, the best one, or several of the best by value."""

    number: int | None = None
    n_top: int = 1
    by: By | None = None  # see `choose_best`
    # That names the study's code, which a config names too; without it, a study that trains code of
    # the user's is refused, unless the code is not named (`params_only`).
    study_file: Path | None = None
    params_only: bool = False
    has_weights: bool = False


def export_trials(database: Database, name: str, wanted: Wanted) -> list[Exported]:
    """Return the trials, best first.

    Raises `NotFound`, `NoCompleteTrial`, and `UsageError` for a trial that cannot be exported.
    """
    with database.reading() as connection:
        return export_in(connection, name, wanted)


def export_in(connection: Snapshot, name: str, wanted: Wanted) -> list[Exported]:
    """Export the trials as `export_trials` does, in this snapshot."""
    summary = summarize(connection, find_row(connection, name), wanted.by)
    numbers = _choose(connection, summary, wanted)
    if not wanted.params_only:
        command = study_command("export", name, file_option())
        folder_of_code(parse_spec(summary.study.spec), wanted.study_file, command)
    is_chosen = wanted.number is None and wanted.n_top == 1
    confirmation = summary.confirmation if is_chosen and summary.best_by is By.CONFIRMED else None
    trials = [_export(connection, summary, number, wanted.has_weights) for number in numbers]
    return [_with_confirmation(trial, confirmation) for trial in trials]


def _choose(connection: Snapshot, summary: StudySummary, wanted: Wanted) -> Sequence[int]:
    if wanted.number is not None:
        return [wanted.number]
    study = summary.study
    if summary.best is None:
        raise NoCompleteTrial(
            f"study {study.name!r} has no COMPLETE trial ({trials_of(summary)} are final); "
            f"{study_command('status', study.name)} shows why, --trial N exports another one"
        )
    if wanted.n_top == 1:
        return [summary.best.number]
    return read_top_numbers(connection, study.study_id, study.direction, wanted.n_top)


def _with_confirmation(exported: Exported, confirmation: Confirmation | None) -> Exported:
    """Add to the provenance the trial's values under fresh seeds."""
    found = (
        [c for c in confirmation.candidates if c.trial == exported.number] if confirmation else []
    )
    if confirmation is None or not found:
        return exported
    (candidate,) = found
    confirmed = {
        "by": confirmation.name,
        "mean": candidate.mean,
        "spread": candidate.spread,
        "seeds": len(candidate.values),
        "probability_best": candidate.probability,
        "of_trials": [c.trial for c in confirmation.candidates],
    }
    provenance = {**exported.config.provenance, "confirmed": confirmed}
    config = exported.config.model_copy(update={"provenance": provenance})
    is_so_far = exported.is_so_far or not confirmation.is_finished
    return replace(exported, config=config, is_so_far=is_so_far)


def _export(
    connection: Snapshot, summary: StudySummary, number: int, has_weights: bool
) -> Exported:
    study = summary.study
    rows = read_trials(connection, study.study_id, [number])
    if not rows:
        raise NotFound(
            f"study {study.name!r} has no trial {number}; "
            f"{study_command('trials', study.name)} lists them"
        )
    (trial,) = rows
    spec = parse_spec(study.spec)
    origin = read_origin(connection, study.study_id, number)
    if origin is None or not trial.params:
        raise UsageError(
            f"trial {number} of study {study.name!r} was not trained by tuner "
            f"({trial.state}); it has no seed to train it again with"
        )
    best_epoch = _best_epoch(connection, study.study_id, trial, spec)
    is_so_far = find_state(summary) is not StudyState.FINISHED
    provenance = build_provenance(summary, spec, trial, origin, is_so_far=is_so_far)
    weights = _read_weights(connection, summary, number) if has_weights else None
    return Exported(
        config=build_config(spec, trial, origin, best_epoch, provenance),
        number=number,
        value=trial.value,
        is_so_far=is_so_far,
        weights=weights,
    )


def build_config(
    spec: StudySpec,
    trial: TrialRow,
    origin: OriginRow,
    best_epoch: int | None,
    provenance: Mapping[str, Any],
) -> BestConfig:
    """Build the final training that repeats the trial; the trainer's defaults are written out."""
    params = spec.objective.complete({**spec.params, **trial.params})
    return BestConfig(
        name=spec.name,
        objective=spec.objective,
        metric=spec.metric,
        direction=spec.direction,
        params=params,
        seed=origin.seed,
        data_seed=derive_seed(spec.seed, "data"),
        best_epoch=best_epoch,
        processes_per_trial=spec.workers.n_ranks,
        provenance=provenance,
    )


def build_provenance(
    summary: StudySummary,
    spec: StudySpec,
    trial: TrialRow,
    origin: OriginRow,
    *,
    is_so_far: bool,
) -> dict[str, Any]:
    """Build the provenance, without hosts, paths or other facts of a single machine."""
    about = origin.about
    given = {
        "study": summary.study.name,
        "study_created_at": summary.study.created_at.astimezone(UTC).isoformat(timespec="seconds"),
        "study_state": "best so far: the study continues" if is_so_far else "finished",
        "trial": trial.number,
        "trial_state": trial.state,
        "value": trial.value,
        "metrics": {
            key: value
            for key, value in trial.user_attrs.items()
            if _is_number(value) and key not in ("best_step", "seconds")
        },
        "epochs_trained": trial.n_steps,
        "trials": {
            "tried": sum(summary.n(state) for state in FINAL_STATES),
            **{state.lower(): summary.n(state) for state in FINAL_STATES},
        },
        "sampler": render_algorithm(spec.sampler),
        "pruner": render_algorithm(spec.pruner),
        "study_seed": spec.seed,
        "draw": origin.draw,
        "data_fingerprint": _fingerprint(spec, summary.study.fingerprint),
        "code": dict(origin.code or {}),
        "git": about.get("git"),
        "packages": about.get("packages"),
        "device": device_of(origin),
        "threads": about.get("threads"),
        "exported_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return {key: value for key, value in given.items() if value not in (None, {}, "")}


def _is_number(value: object) -> bool:
    """Return whether any reader of YAML and JSON accepts it; users may record any value."""
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and abs(value) < 2**63


def _fingerprint(spec: StudySpec, stored: str) -> str | None:
    """Return the fingerprint of the data, if tuner has prepared them."""
    return stored if spec.objective.has_prepared_data else None


def _best_epoch(
    connection: Snapshot, study_id: int, trial: TrialRow, spec: StudySpec
) -> int | None:
    """Return the epoch that the trainer recorded, otherwise the first with the best value."""
    noted = trial.user_attrs.get("best_step")
    if type(noted) is int and noted > 0:
        return noted
    curve = read_curve(connection, study_id, trial.number)
    return min(curve, key=lambda step: (spec.direction.rank(curve[step]), step), default=None)


def _read_weights(connection: Snapshot, summary: StudySummary, number: int) -> KeptWeights:
    study = summary.study
    kept = {w.number: w for w in read_weights(connection, study.study_id, study.direction)}
    if number not in kept:
        have = ", ".join(map(str, kept)) or "none"
        raise UsageError(
            f"the weights of trial {number} are not kept; `checkpoints.keep_best` of the study "
            f"file sets the number of trials with weights (here: {have}), and only the "
            "built-in trainer has them"
        )
    row: WeightsRow = kept[number]
    content = read_weights_content(connection, row)
    return KeptWeights(content=content, sha256=row.sha256, step=row.step)
