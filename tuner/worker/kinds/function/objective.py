"""A user's `def train(trial)` as an objective, called once for one trial."""

import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import torch

from tuner.messages import Setup
from tuner.study.trial import Params
from tuner.study.verdict import Outcome, Verdict
from tuner.training.fatal_errors import is_our_interrupt
from tuner.training.lane import Lane
from tuner.training.modules.generators import seed_generators
from tuner.trial import (
    Mistake,
    Trial,
    TrialEnd,
    check_return,
)
from tuner.trial.ends import ENDS, SWALLOWED
from tuner.worker.bad_code import BadCode
from tuner.worker.blas import find_libraries, set_blas_threads
from tuner.worker.exits import Exit
from tuner.worker.faults import how_it_failed, in_words, render_traceback
from tuner.worker.forks import ForkedEnd, ending_forks
from tuner.worker.lanes import PipeLane
from tuner.worker.loading import last_user_frame, load_callable
from tuner.worker.objective import Training
from tuner.worker.own_trial import build_trial
from tuner.worker.ranks.follow import train_in_ranks
from tuner.worker.source_files import (
    FileState,
    file_states,
    find_sources,
    hash_again,
    keep_hashes,
)

Function = Callable[[Trial], object]
MEMBER = "tuner.worker.kinds.function.member"  # one of several processes that train a trial


class FunctionObjective:
    """Calls the function for one trial; the process ends after it."""

    is_single_use = True  # whatever the function leaves behind goes with the process
    is_stepwise = False

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._lanes: list[Lane] = []
        self._n_admitted = 0

    def complete(self, params: Params) -> Params:
        """Return the params unchanged: the function has its own defaults."""
        return params

    def admit(self, lanes: Sequence[Lane]) -> None:
        """Take the one lane of this process."""
        self._lanes += lanes
        self._n_admitted += len(lanes)

    def room(self) -> int:
        """Return 0 after the first lane."""
        return 1 - self._n_admitted

    def turn(self) -> Iterator[Exit]:
        """Load the user's code and call it until the trial ends."""
        if not self._lanes:
            return
        lane = self._lanes.pop()
        setup = self._setup
        if setup.n_ranks > 1 and isinstance(lane, PipeLane):
            yield train_in_ranks(setup, lane, lane, MEMBER)
            return
        trial = build_trial(setup, lane)
        # The global generators, for code that does not take `trial.seed`.
        seed_generators(lane.seed, setup.device.partition(":")[0])
        yield self._call(lane, trial)

    def _call(self, lane: Lane, trial: Trial) -> Exit:
        function: Function | None = None
        try:
            function = self._load(lane)
            with ending_forks():
                returned = function(trial)
            if trial.end is not None:  # it was caught; that does not undo it
                return self._swallowed(lane, trial, trial.end)
            value = check_return(returned, trial, self._setup.goal.metric)
        except TrialEnd as end:
            return Exit(lane=lane, how=end.verdict.outcome, facts=trial.user_attrs)
        except Mistake as mistake:
            place = last_user_frame(mistake.__traceback__) or definition_of(function)
            return self._failed(lane, trial, mistake, Outcome.MISTAKE, f"{mistake} ({place})")
        except BadCode as error:
            return self._failed(lane, trial, error, Outcome.MISTAKE, str(error))
        except ForkedEnd:
            raise
        except BaseException as error:
            if is_our_interrupt(error):
                raise
            if trial.end is not None:  # a trial that was asked to stop failed while it cleaned up
                traceback.print_exception(error)
                return Exit(lane=lane, how=trial.end.verdict.outcome, facts=trial.user_attrs)
            if is_pruned_by_optuna(error):
                return Exit(lane=lane, how=Outcome.PRUNED, facts=trial.user_attrs)
            return self._raised(lane, trial, error)
        return Exit(lane=lane, how=Outcome.COMPLETE, value=value, facts=trial.user_attrs)

    def _load(self, lane: Lane) -> Function:
        """Load the function; raises `TrialEnd` if its files have changed and may not."""
        name, folder = str(self._setup.objective["function"]), self._setup.folder
        function = load_function(name, folder)
        if not lane.note_code(hash_again(name.rpartition(":")[0], folder, self._setup.code)):
            raise ENDS[Verdict.RELEASE]
        return function

    def _swallowed(self, lane: Lane, trial: Trial, end: TrialEnd) -> Exit:
        print(f"trial {trial.number}: {SWALLOWED}", file=sys.stderr, flush=True)
        return Exit(lane=lane, how=end.verdict.outcome, message=SWALLOWED, facts=trial.user_attrs)

    def _raised(self, lane: Lane, trial: Trial, error: BaseException) -> Exit:
        place = last_user_frame(error.__traceback__)
        if isinstance(error, SystemExit):
            text = f"the objective called sys.exit({error.code!r}) ({place})"
            return self._failed(lane, trial, error, Outcome.EXCEPTION, text)
        text = in_words(error) + (f" ({place})" if place else "")
        return self._failed(lane, trial, error, how_it_failed(error), text)

    def _failed(
        self, lane: Lane, trial: Trial, error: BaseException, how: Outcome, message: str
    ) -> Exit:
        text = render_traceback(error)
        print(text, file=sys.stderr, flush=True)
        return Exit(
            lane=lane,
            how=how,
            message=message,
            traceback=text,
            facts=trial.user_attrs,
        )


def is_pruned_by_optuna(error: BaseException) -> bool:
    """Return whether it is Optuna's `TrialPruned`; it cannot be unless Optuna is loaded."""
    optuna = sys.modules.get("optuna")
    pruned = getattr(optuna, "TrialPruned", None)
    return isinstance(pruned, type) and isinstance(error, pruned)


def load_function(name: str, folder: str) -> Function:
    """Load the objective like `load_callable`; it takes one argument."""
    return load_callable(name, folder, n_arguments=1, example="trial")


def definition_of(function: Function | None) -> str:
    """Return where a function begins: `train.py:3 in train`."""
    code = getattr(function, "__code__", None)
    if code is None:
        return "the objective"
    return f"{Path(code.co_filename).name}:{code.co_firstlineno} in {code.co_name}"


def preload(name: str, folder: str) -> Mapping[Path, FileState]:
    """Import the function's module."""
    module = name.rpartition(":")[0]
    load_function(name, folder)
    states = file_states(find_sources(module, folder).values())
    keep_hashes(module, folder)
    find_libraries()
    return states


def set_threads(n_threads: int) -> None:
    """Set the number of threads of torch's operators, and of NumPy's."""
    torch.set_num_threads(n_threads)
    if n_threads > 1:
        set_blas_threads(n_threads)


find_libraries()  # in the template, and not in each worker
TRAINING = Training(
    warm_up=lambda: None,
    build=FunctionObjective,
    set_threads=set_threads,
    is_program=True,
    preload=preload,
    is_forked_often=True,
)
