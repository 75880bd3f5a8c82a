"""Preparation of the trainer's data and of a custom model and loss before a study is created.

A failure here would fail every trial.
"""

from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from tuner.study_file.kinds.losses import BuiltInLoss, smoothing_fault, task_fault
from tuner.study_file.params.trainer_params import Task
from tuner.training.data.preparing import prepare
from tuner.training.data.source import in_words
from tuner.worker.bad_code import BadCode
from tuner.worker.objective import Prepared


def prepare_trainer(request: Mapping[str, Any]) -> Prepared:
    """Prepare `{"data": ..., "own": ..., "loss": ..., "metrics": ..., "names": ..., ...}`.

    The others are "data_folder", the parent, and the names of all params. Raises `BadCode` for a
    loss, a metric or a param that does not fit the task, which may be known only now.
    "own" is None, or `{"folder": the study file's, "model": ..., "loss": ..., "params": the fixed
    ones, "searched": names}`; model or loss is None if built in.
    """
    code = {"tuner": metadata.version("tuner")}
    own, summary = request["own"], ""
    if own is not None:
        from tuner.worker.kinds.trainer.own_code import look_at  # noqa: PLC0415 - loads torch

        code |= look_at(own)
        named = ((kind, own[kind]) for kind in ("model", "loss") if own[kind])
        summary = "".join(f"; {kind} {name}" for kind, name in named)
    try:
        prepared = prepare(request["data"], Path(request["data_folder"]), _load_code)
        if request.get("needs_images") and not prepared.has_images:
            raise BadCode("model cnn and augment need images of one shape, and these data are none")
    except BadCode:
        raise
    except Exception as error:  # whatever it is, the agent needs one sentence
        raise BadCode(f"cannot prepare the data: {in_words(error)}") from error
    _check_task(request, Task.of_metrics(prepared.metrics))
    return Prepared(
        folder=str(prepared.folder),
        fingerprint=prepared.fingerprint,
        summary=prepared.summary + summary,
        metrics=dict(prepared.metrics),
        code=code,
        n_rows=prepared.n_rows,
    )


def _load_code(name: str, folder: str) -> Callable[[], Any]:
    from tuner.worker.kinds.trainer.models import load_data  # noqa: PLC0415 - loads torch

    return load_data(name, folder)


def _check_task(request: Mapping[str, Any], task: Task) -> None:
    loss = request["loss"]
    loss = BuiltInLoss.model_validate(loss) if isinstance(loss, dict) else loss
    fault = task_fault(loss, request["metrics"], task)
    if not fault and "label_smoothing" in request["names"]:
        fault = smoothing_fault(loss, task)
        fault = f"label_smoothing {fault}" if fault else ""
    if fault:
        raise BadCode(fault)
