"""The output of a final training: model, metrics, curves, card; the card is written last."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tuner.export.card import render_function_card, render_model_card
from tuner.export.files import write_whole
from tuner.export.final_folder import CARD, CURVES, METRICS
from tuner.export.final_job import Job
from tuner.export.final_lane import remove_checkpoints
from tuner.export.train_options import Rows
from tuner.results.figures.final_training import FinalPage, render_final_page
from tuner.study.secrets import redact
from tuner.study.trial import Values
from tuner.training.checkpoint_folder import clear_folder, is_folder_file, unpack_folder
from tuner.training.final.evaluation import Evaluation
from tuner.training.final.model import CHECKPOINT_FOLDER, MODEL_FILE, FinalModel, encode_model


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """Weights that may become the model."""

    step: int  # the epoch that they are of
    validation: Values


@dataclass(frozen=True, kw_only=True)
class Compared:
    """A simple model on the same rows."""

    name: str
    n_rows: int  # that it was fitted to
    validation: Values | None  # None: it was fitted to these rows, too
    test: Values


@dataclass(frozen=True, kw_only=True)
class ModelResult:
    """A trained model and its metrics."""

    model: FinalModel
    chosen: str  # which of the candidates
    candidates: Mapping[str, Candidate]
    data_summary: str
    test: Evaluation
    baselines: Sequence[Compared]
    curve: Mapping[int, Values]
    seconds: float
    device: str
    sources: tuple[str, ...]  # files of the user's own that were copied


@dataclass(frozen=True, kw_only=True)
class FunctionResult:
    """The result of a user's function."""

    value: float | None
    facts: Mapping[str, object]
    curve: Mapping[int, Values]
    checkpoint: Path | None  # the best that it saved
    checkpoint_step: int
    seconds: float
    device: str
    sources: tuple[str, ...] = ()
    test: Values | None = None  # of the user's `test`; None without one, or if it failed
    test_fault: str = ""


def write_model_result(job: Job, result: ModelResult) -> dict[str, Any]:
    """Write model, metrics, curves and card, each whole; return the metrics."""
    is_both = job.options.rows is Rows.BOTH
    chosen = result.candidates[result.chosen]
    curve = {step: _without_validation(v) if is_both else v for step, v in result.curve.items()}
    metrics = {
        **_metrics_of(job),
        "delivered": result.chosen,
        "epoch": chosen.step,
        # Rows that were trained on are not evaluated.
        "validation": None if is_both else dict(chosen.validation),
        "compared": None
        if is_both
        else {name: c.validation[job.config.metric] for name, c in result.candidates.items()},
        "test": {"rows": result.test.n_rows, **result.test.metrics},
        "baselines": [asdict(baseline) for baseline in result.baselines],
        "confusion": [list(row) for row in result.test.confusion] or None,
        "classes": list(result.model.classes) or None,
        "data": result.data_summary,
        "seconds": result.seconds,
        "device": result.device,
        "sources": list(result.sources),
        "curve": curve,
    }
    write_whole(job.folder / MODEL_FILE, encode_model(result.model), mode=0o600)
    _write_metrics(job, metrics)
    page = FinalPage(
        title=_title(job),
        metric=job.config.metric,
        curve=curve,
        best_step=chosen.step if chosen.step in curve else None,
        classes=result.model.classes,
        confusion=result.test.confusion,
        targets=result.test.targets,
        predictions=result.test.predictions,
    )
    _write_pages(job, page, render_model_card(job.config, metrics, result.model))
    return metrics


def write_function_result(job: Job, result: FunctionResult) -> dict[str, Any]:
    """Write the best checkpoint as the model, the metrics of its step, curves, card."""
    last = dict(result.curve[max(result.curve)]) if result.curve else {}
    step = result.checkpoint_step if result.checkpoint else None
    reported = None if step is None else result.curve.get(step)
    metrics: dict[str, Any] = {
        **_metrics_of(job),
        "value": result.value,
        "last": last,
        "facts": dict(result.facts),
        "checkpoint": None,  # its file or folder
        "checkpoint_step": step,
        "checkpoint_report": None if reported is None else dict(reported),
        **({} if result.test is None else {"test": dict(result.test)}),
        "test_fault": result.test_fault or None,
        "seconds": result.seconds,
        "device": result.device,
        "sources": list(result.sources),
        "curve": dict(result.curve),
    }
    if result.checkpoint is not None:
        metrics["checkpoint"] = _write_checkpoint(job.folder, result.checkpoint)
    _write_metrics(job, metrics)
    page = FinalPage(
        title=_title(job),
        metric=job.config.metric,
        curve=result.curve,
        best_step=step or None,
    )
    _write_pages(job, page, render_function_card(job.config, metrics))
    return metrics


def _write_checkpoint(folder: Path, checkpoint: Path) -> str:
    """Write a saved tree as the model's file, and a saved folder as a folder; return its name."""
    if is_folder_file(checkpoint):
        clear_folder(folder / CHECKPOINT_FOLDER)
        unpack_folder(checkpoint, folder / CHECKPOINT_FOLDER, sha256=None)
        return CHECKPOINT_FOLDER
    write_whole(folder / MODEL_FILE, checkpoint.read_bytes(), mode=0o600)
    return MODEL_FILE


def _metrics_of(job: Job) -> dict[str, Any]:
    config = job.config
    return {
        "study": config.name,
        "trial": config.provenance.get("trial"),
        "metric": config.metric,
        "direction": str(config.direction),
        "search_value": config.provenance.get("value"),
        "trained_on": str(job.options.rows),
        "from_weights": job.options.from_weights,
        "allow_code": sorted(job.options.allow_code),
        "allow_command": job.options.allow_command,
        "epochs": config.n_steps,
    }


def _title(job: Job) -> str:
    return f"{job.config.name}: final training of trial {job.config.provenance.get('trial', '?')}"


def _without_validation(values: Values) -> Values:
    return {name: value for name, value in values.items() if not name.startswith("val_")}


def _write_metrics(job: Job, metrics: Mapping[str, Any]) -> None:
    text = json.dumps(_finite(metrics), indent=2, allow_nan=False)
    write_whole(job.folder / METRICS, redact(text) + "\n", mode=0o600)


def _write_pages(job: Job, page: FinalPage, card: str) -> None:
    html = render_final_page(page)
    write_whole(job.folder / CURVES, redact(html), mode=0o600)
    write_whole(job.folder / CARD, redact(card), mode=0o600)
    remove_checkpoints(job.folder)


def _finite(value: Any) -> Any:
    """Replace NaN and infinities, which JSON lacks."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {str(key): _finite(part) for key, part in value.items()}
        case list() | tuple():
            return [_finite(part) for part in value]
        case _:
            return value
