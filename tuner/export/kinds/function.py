"""The final training of a user's function: called as in the search, its best checkpoint kept.

A `test` next to it, if there is one, is called afterwards with that checkpoint.
"""

import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

from tuner.export.artifact import FunctionResult, write_function_result
from tuner.export.final_folder import is_done, read_metrics
from tuner.export.final_job import Job, Trained
from tuner.export.final_lane import FinalLane
from tuner.export.final_ranks import FollowedLane
from tuner.export.kinds.own_test import test_function
from tuner.export.own_sources import compare_code, copy_sources
from tuner.study_file.kinds.function import FunctionObjective
from tuner.training.checkpoint_folder import pack_folder
from tuner.training.device import name_device
from tuner.training.final.model import CHECKPOINT_FOLDER, MODEL_FILE
from tuner.worker.exits import Exit
from tuner.worker.kinds.function.objective import MEMBER, load_function
from tuner.worker.kinds.function.objective import FunctionObjective as Function
from tuner.worker.program import as_program
from tuner.worker.programs.orphans import ending_orphans
from tuner.worker.ranks.follow import train_in_ranks
from tuner.worker.source_files import hash_sources


def train_function(job: Job) -> Trained:
    """Call it with the exported params; a test split, if any, is up to the function."""
    objective = job.config.objective
    assert isinstance(objective, FunctionObjective)
    module = objective.function.rpartition(":")[0]
    with as_program():
        if is_done(job.folder):  # and only its test failed
            result = _stored_result(job)
        else:
            trained = _train(job, objective, module)
            if isinstance(trained, Trained):
                return trained
            result = trained
        return _finish(job, module, result)


def _train(job: Job, objective: FunctionObjective, module: str) -> FunctionResult | Trained:
    """Return the result, or `Trained` if a stop was requested."""
    started = monotonic()
    with redirect_stdout(sys.stderr):  # its output is no data
        load_function(objective.function, str(job.source))
    compare_code(job.config, hash_sources(module, str(job.source)), job.tell)
    lane = job.lane(is_stepwise=False)
    left = _left(job, lane)
    stopped = job.left(lane, left)
    if stopped is not None:
        return stopped
    saved = lane.best_saved()
    step, path = saved or (0, None)
    return FunctionResult(
        value=left.value,
        facts=left.facts,
        curve=lane.curve,
        checkpoint=path,
        checkpoint_step=step,
        seconds=monotonic() - started,
        device=name_device(job.device),
    )


def _left(job: Job, lane: FinalLane) -> Exit:
    """Call the function, in as many processes as in the search; return how it left."""
    setup = job.setup("")
    with redirect_stdout(sys.stderr):
        if setup.n_ranks > 1:
            with ending_orphans():
                return train_in_ranks(setup, FollowedLane(lane), lane, MEMBER)
        function = Function(setup)
        function.admit([lane])
        (left,) = function.turn()
        return left


def _stored_result(job: Job) -> FunctionResult:
    metrics = read_metrics(job.folder)
    return FunctionResult(
        value=metrics["value"],
        facts=metrics["facts"],
        curve={int(step): values for step, values in metrics["curve"].items()},
        checkpoint=_stored_checkpoint(job, metrics),
        checkpoint_step=metrics["checkpoint_step"] or 0,
        seconds=metrics["seconds"],
        device=metrics["device"],
    )


def _stored_checkpoint(job: Job, metrics: Mapping[str, Any]) -> Path | None:
    if metrics["checkpoint"] in (None, MODEL_FILE):
        return None if metrics["checkpoint"] is None else job.folder / MODEL_FILE
    packed = job.folder / f"checkpoint-{metrics['checkpoint_step']}.folder"
    if packed.exists():  # a call before this one was killed
        return packed
    return pack_folder(job.folder / CHECKPOINT_FOLDER, job.folder, packed.stem).path


def _finish(job: Job, module: str, result: FunctionResult) -> Trained:
    result = test_function(job, module, result)
    if result.test_fault:
        job.tell(f"{result.test_fault}; the training is kept: the same command repeats the test")
    # Only now: train and test may have imported more of the user's files.
    code = hash_sources(module, str(job.source))
    result = replace(result, sources=copy_sources(job.source, job.folder, code))
    return Trained(folder=job.folder, metrics=write_function_result(job, result))
