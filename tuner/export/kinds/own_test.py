"""`def test(trial)` next to a user's `train`: metrics of the delivered state on other data."""

import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path

from tuner.export.artifact import FunctionResult
from tuner.export.final_job import Job
from tuner.study.trial import MAX_NAME, Values
from tuner.training.fatal_errors import is_our_interrupt
from tuner.training.lane import DetachedLane
from tuner.training.modules.generators import seed_generators
from tuner.trial import MAX_METRICS, Mistake, Trial
from tuner.trial.values import check_number, kind_of
from tuner.worker.bad_code import BadCode
from tuner.worker.faults import in_words
from tuner.worker.forks import ForkedEnd, ending_forks
from tuner.worker.loading import find_callable, last_user_frame

TEST = "test"


class _DeliveredLane(DetachedLane):
    """The trial as `test` sees it: its checkpoint is the delivered one."""

    trusts_folders = True  # this training has written them

    def __init__(self, job: Job, result: FunctionResult) -> None:
        super().__init__(job.config.params, job.config.seed)
        self.checkpoint = None if result.checkpoint is None else str(result.checkpoint)
        self.from_step = result.checkpoint_step
        self.last_value = result.curve.get(self.from_step, {}).get(job.config.metric)


def test_function(job: Job, module: str, result: FunctionResult) -> FunctionResult:
    """Call `test` of the objective's module, if it has one, and add its metrics to the result.

    A fault is a sentence in the result and no error: the training before it counts.
    """
    try:
        test = find_callable(f"{module}:{TEST}", str(job.source), n_arguments=1, example="trial")
        if test is None:
            return result
        with redirect_stdout(sys.stderr):  # its output is no data
            metrics = _call(test, _trial(job, result))
    except ForkedEnd:
        raise
    except BaseException as error:
        if is_our_interrupt(error):
            raise
        return replace(result, test_fault=_fault(error, module, result))
    return replace(result, test=metrics)


def _trial(job: Job, result: FunctionResult) -> Trial:
    lane = _DeliveredLane(job, result)
    seed_generators(lane.seed, job.device.partition(":")[0])
    return Trial(
        lane.params,
        seed=lane.seed,
        device=job.device,
        dir=Path(job.setup("").trials_folder) / str(lane.number),
        metric=job.config.metric,
        lane=lane,
    )


def _call(test: Callable[[Trial], object], trial: Trial) -> Values:
    with ending_forks():
        returned = test(trial)
    if not isinstance(returned, Mapping):
        raise Mistake(f"it returned a {kind_of(returned)}; return a dict of metrics")
    if not 1 <= len(returned) <= MAX_METRICS:
        raise Mistake(f"it returned {len(returned)} metrics; return 1 to {MAX_METRICS}")
    for name in returned:
        if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME:
            raise Mistake(f"a metric's name is text of 1 to {MAX_NAME} characters, not {name!r}")
    return {name: check_number(name, value) for name, value in returned.items()}


def _fault(error: BaseException, module: str, result: FunctionResult) -> str:
    if isinstance(error, Mistake | BadCode):
        what = str(error)
    else:
        traceback.print_exception(error)
        place = last_user_frame(error.__traceback__)
        what = in_words(error) + (f" ({place})" if place else "")
    state = "" if result.checkpoint else "; the function saved no checkpoint that it could load"
    return f"there are no test metrics: {TEST}() of {module}: {what}{state}"
