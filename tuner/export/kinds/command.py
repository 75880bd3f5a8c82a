"""The final training of a command: run as in the search, the folder of its best step kept."""

from time import monotonic

from tuner.export.artifact import FunctionResult, write_function_result
from tuner.export.final_job import Job, Trained
from tuner.export.own_sources import compare_code, copy_sources
from tuner.training.device import name_device
from tuner.worker.kinds.command.objective import run_command
from tuner.worker.kinds.command.preparing import prepare_command
from tuner.worker.program import as_program
from tuner.worker.programs.orphans import ending_orphans


def train_command(job: Job) -> Trained:
    """Run it with the exported params; a test split, if any, is up to the program."""
    objective = job.config.objective
    started = monotonic()
    with as_program():
        code = prepare_command(objective.preparation(job.config.params, {}, job.source)).code
        compare_code(job.config, code, job.tell)
        lane = job.lane(is_stepwise=False)
        with ending_orphans():
            left = run_command(job.setup(""), lane)
        stopped = job.left(lane, left)
    if stopped is not None:
        return stopped
    step, path = lane.best_saved() or (0, None)
    result = FunctionResult(
        value=left.value,
        facts=left.facts,
        curve=lane.curve,
        checkpoint=path,
        checkpoint_step=step,
        seconds=monotonic() - started,
        device=name_device(job.device),
        sources=copy_sources(job.source, job.folder, code),
    )
    return Trained(folder=job.folder, metrics=write_function_result(job, result))
