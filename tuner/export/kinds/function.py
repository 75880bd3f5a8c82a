"""The final training of a user's function: called as in the search, its last checkpoint kept."""

import sys
from contextlib import redirect_stdout
from pathlib import Path
from time import monotonic

from tuner.export.artifact import FunctionResult, write_function_result
from tuner.export.final_job import Job, Trained
from tuner.export.own_sources import compare_code, copy_sources
from tuner.study_file.kinds.function import FunctionObjective
from tuner.training.device import name_device
from tuner.worker.kinds.function.objective import FunctionObjective as Function
from tuner.worker.kinds.function.objective import load_function
from tuner.worker.program import as_program
from tuner.worker.source_files import hash_sources


def train_function(job: Job) -> Trained:
    """Call it with the exported params; a test split, if any, is up to the function."""
    objective = job.config.objective
    assert isinstance(objective, FunctionObjective)
    with as_program():
        return _train(job, objective)


def _train(job: Job, objective: FunctionObjective) -> Trained:
    started = monotonic()
    with redirect_stdout(sys.stderr):  # its output is no data
        load_function(objective.function, str(job.source))
    code = hash_sources(objective.function.rpartition(":")[0], str(job.source))
    compare_code(job.config, code, job.tell)
    lane = job.lane(is_stepwise=False)
    function = Function(job.setup(""))
    function.admit([lane])
    with redirect_stdout(sys.stderr):
        (left,) = function.turn()
    stopped = job.left(lane, left)
    if stopped is not None:
        return stopped
    result = FunctionResult(
        value=left.value,
        facts=left.facts,
        curve=lane.curve,
        checkpoint=None if lane.checkpoint is None else Path(lane.checkpoint),
        checkpoint_step=lane.from_step,
        seconds=monotonic() - started,
        device=name_device(job.device),
        sources=copy_sources(job.source, job.folder, code),
    )
    return Trained(folder=job.folder, metrics=write_function_result(job, result))
