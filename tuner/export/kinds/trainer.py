"""The final training of the built-in trainer, by the code that trained the trial."""

import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from time import monotonic
from typing import Any

from tuner.errors import RunFailed, TunerError, UsageError
from tuner.export.artifact import Candidate, Compared, ModelResult, write_model_result
from tuner.export.final_job import Job, Trained
from tuner.export.final_lane import FinalLane
from tuner.export.own_sources import compare_code, copy_sources
from tuner.export.train_options import Rows
from tuner.messages import Setup
from tuner.storage.embedded.home import open_home
from tuner.study.code import Code
from tuner.study.trial import Values
from tuner.study_file.best import BestConfig
from tuner.study_file.kinds.trainer import TrainerObjective
from tuner.training.checkpoint import load_checkpoint
from tuner.training.checkpoint_file import BadCheckpoint
from tuner.training.data.dataset import Dataset, Split, open_test_split, with_validation
from tuner.training.data.preparation import load_preparation
from tuner.training.data.preparing import PreparedData, prepare
from tuner.training.data.source import in_words as data_error
from tuner.training.device import name_device
from tuner.training.final.baselines import fit_baselines
from tuner.training.final.evaluation import (
    evaluate,
    evaluate_outputs,
    validate,
    validate_outputs,
)
from tuner.training.final.model import (
    FinalModel,
    build_final_model,
    card_of,
    natural_weights,
)
from tuner.training.final.model_card import ModelCard
from tuner.training.final.warm_start import warm_state
from tuner.training.lane import LaneFailed
from tuner.training.losses.metrics import Metrics
from tuner.training.modules.template import Build
from tuner.training.tensor_file import READING_FAILS, is_usable, reason_of
from tuner.worker.faults import in_words
from tuner.worker.kinds.trainer.models import (
    data_of,
    load_data,
    load_model,
    loss_of,
    metrics_of,
    model_of,
)
from tuner.worker.kinds.trainer.objective import TrainerObjective as Trainer
from tuner.worker.kinds.trainer.own_code import look_at
from tuner.worker.program import as_program

NEW, EXPORTED = "this training", "the exported weights"
Weights = Mapping[str, Any]  # of an epoch: "step", "weights" and "buffers" of a lane's state


def train_model(job: Job) -> Trained:
    """Train, choose by the validation split, and only then evaluate the test split, once."""
    objective = job.config.objective
    assert isinstance(objective, TrainerObjective)
    started = monotonic()
    # The user's code sees no variables of ours, which name folders of this machine.
    request, home = _request(job, objective), open_home().data
    with as_program():
        with redirect_stdout(sys.stderr):
            prepared = _prepare(job.config, request, home)
        return _train_on(job, objective, prepared, started)


def _train_on(
    job: Job, objective: TrainerObjective, prepared: PreparedData, started: float
) -> Trained:
    with redirect_stdout(sys.stderr):  # output of the user's code is no data
        code = _own_code(job, objective)
        build = load_model(objective.model, str(job.source)) if objective.has_own_model else None
    setup = job.setup(str(prepared.folder))
    data = data_of(setup)
    exported = _exported_weights(job)
    lane = job.lane(is_stepwise=True)
    with redirect_stdout(sys.stderr):
        if job.options.from_weights:
            _begin_from(lane, setup, data, exported)
        stopped = _train(job, lane, setup, data)
    if stopped is not None:
        return stopped
    found = _candidates(job, lane, exported)
    models = {
        name: _final_model(job, objective, data, prepared, weights, build)
        for name, weights in found.items()
    }
    metrics = metrics_of(setup, data, loss_of(setup, data))
    values = {name: validate(model, data, metrics) for name, model in models.items()}
    chosen = choose(job.config, values)
    test = open_test_split(prepared.folder)
    result = ModelResult(
        model=models[chosen],
        chosen=chosen,
        candidates={
            name: Candidate(step=found[name]["step"], validation=values[name]) for name in found
        },
        data_summary=prepared.summary,
        test=evaluate(models[chosen], test),
        baselines=_compare(job, data, models[chosen].card, metrics, test),
        curve=lane.curve,
        seconds=monotonic() - started,
        device=name_device(job.device),
        sources=copy_sources(job.source, job.folder, code),
    )
    return Trained(folder=job.folder, metrics=write_model_result(job, result))


def _compare(
    job: Job, data: Dataset, card: ModelCard, metrics: Metrics, test: Split
) -> list[Compared]:
    """Fit simple models to the rows that the network was trained on, and evaluate them alike."""
    is_both = job.options.rows is Rows.BOTH
    found = []
    for baseline in fit_baselines(with_validation(data) if is_both else data, job.config.seed):
        on_test = evaluate_outputs(baseline.outputs(test), test, card)
        validation = None
        if not is_both:
            validation = validate_outputs(baseline.outputs(data.validation), data, metrics)
        found.append(
            Compared(
                name=baseline.name,
                n_rows=baseline.n_rows,
                validation=validation,
                test=on_test.metrics,
            )
        )
    return found


def choose(config: BestConfig, values: Mapping[str, Values]) -> str:
    """Return the better weights on the validation split; for equal ones the new."""
    goal = config.goal
    return min(values, key=lambda name: (goal.rank(values[name][goal.metric]), name != NEW))


def _request(job: Job, objective: TrainerObjective) -> dict[str, Any]:
    request = objective.data_request(job.source)
    if job.options.data is not None:
        request["source"] |= {objective.data.source: str(job.options.data)}
        request["folder"] = str(job.options.data.parent)  # and that of a test file
    return request


def _prepare(config: BestConfig, request: Mapping[str, Any], home: Path) -> PreparedData:
    """Return this machine's copy of the data, which must be the study's."""
    try:
        prepared = prepare(request, home, load_data)
    except TunerError:
        raise
    except Exception as error:
        raise RunFailed(f"cannot prepare the data: {data_error(error)}") from error
    if config.fingerprint is not None and config.fingerprint != prepared.fingerprint:
        raise RunFailed(
            f"the data here are not the study's (fingerprint {prepared.fingerprint[:12]}, not "
            f"{config.fingerprint[:12]}): another version of their source? To train on them all "
            "the same, remove data_fingerprint from the file"
        )
    return prepared


def _own_code(job: Job, objective: TrainerObjective) -> Code:
    """Return the present files of the user's model and loss; report changed ones."""
    own = objective.preparation(job.config.params, {}, job.source)["own"]
    if own is None:
        return {}
    code = look_at(own)
    compare_code(job.config, code, job.tell)
    return code


def _exported_weights(job: Job) -> Weights | None:
    """Return the trial's own weights, if the config names them; raises `RunFailed` if damaged."""
    named = job.config.weights
    if named is None:
        if job.options.from_weights:
            raise UsageError("--from-weights: the file names no weights; tuner export --weights")
        return None
    try:
        tree = load_checkpoint(job.source / named.file, sha256=named.sha256)
        weights = {key: tree[key] for key in ("structure", "step", "weights", "buffers")}
        _check_weights(weights)
        return weights
    except (BadCheckpoint, *READING_FAILS) as error:
        why = reason_of(error)
        raise RunFailed(f"the weights next to the config cannot be used: {why}") from error


def _check_weights(weights: Weights) -> None:
    """Raise `ValueError` for weights that no search has written; the config may name any file."""
    if not isinstance(weights["structure"], str) or not isinstance(weights["step"], int):
        raise ValueError("they are not of an epoch")
    for kind in ("weights", "buffers"):
        if not isinstance(weights[kind], dict):
            raise ValueError(f"{kind} is not a table of tensors")
        for name, tensor in weights[kind].items():
            if not is_usable(tensor):
                raise ValueError(f"{name} is not a tensor of numbers")


def _begin_from(lane: FinalLane, setup: Setup, data: Dataset, exported: Weights | None) -> None:
    """Write a checkpoint of step 0 with these weights; a later one takes precedence."""
    assert exported is not None
    if lane.checkpoint is not None:
        return
    model = model_of(setup, data, loss_of(setup, data))
    try:
        state = warm_state(model, lane.params, lane.seed, data.train.like, exported)
    except BadCheckpoint as error:
        raise RunFailed(f"--from-weights: {error}") from error
    lane.begin_with(state)


def _train(job: Job, lane: FinalLane, setup: Setup, data: Dataset) -> Trained | None:
    """Train to the end, or until a stop is requested."""
    is_both = job.options.rows is Rows.BOTH
    trainer = Trainer(setup, with_validation(data) if is_both else data)
    trainer.admit([lane])
    try:
        while True:
            for left in trainer.turn():
                return job.left(lane, left)
    except LaneFailed as failed:
        error = failed.__cause__
        what = in_words(error) if isinstance(error, Exception) else "without a reason"
        raise RunFailed(f"the final training failed: {what}") from failed


def _candidates(job: Job, lane: FinalLane, exported: Weights | None) -> dict[str, Weights]:
    """Return the candidates: the best epoch of this training, and the trial's own weights.

    On train+val it is the last epoch alone: no rows are left for a comparison.
    """
    state = lane.kept
    assert state is not None, "a complete training is kept"
    if job.options.rows is Rows.BOTH:
        return {NEW: state}
    return {NEW: state["best"]} | ({EXPORTED: exported} if exported is not None else {})


def _final_model(
    job: Job,
    objective: TrainerObjective,
    data: Dataset,
    prepared: PreparedData,
    weights: Weights,
    build: Build | None,
) -> FinalModel:
    config = job.config
    preparation = load_preparation(prepared.folder)
    card = card_of(objective.model, config.params, config.seed, data, preparation)
    natural = natural_weights(
        objective.model, config.params, weights["weights"], weights["buffers"]
    )
    return build_final_model(card, natural, preparation, build).to(job.device)
