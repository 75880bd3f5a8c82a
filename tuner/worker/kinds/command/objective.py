"""A user's program as an objective: started for one trial, and followed until it ends."""

import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from tuner.cgroups import Cgroups
from tuner.messages import Setup
from tuner.study.trial import Params
from tuner.study.verdict import Outcome
from tuner.study_file.kinds.command.config_file import BadConfig
from tuner.study_file.kinds.command.objective import CommandObjective as Record
from tuner.training.checkpoint_folder import clear_folder
from tuner.training.lane import Lane
from tuner.trial import Mistake, Trial
from tuner.trial.checkpoints import FOLDER
from tuner.worker.exits import ORDERLY, Exit
from tuner.worker.faults import in_words
from tuner.worker.kinds.command.invocation import TrialPlace, build_invocation
from tuner.worker.kinds.command.preparing import hash_named
from tuner.worker.kinds.command.run import Run
from tuner.worker.kinds.command.saver import FolderSaver
from tuner.worker.kinds.command.sources import open_source
from tuner.worker.objective import Training
from tuner.worker.own_trial import build_trial
from tuner.worker.programs.orphans import adopt_orphans, end_descendants
from tuner.worker.programs.process import open_process
from tuner.worker.ranks.place import in_ranks

# Of the grace of a stop: for the checkpoint after the program has ended, and the release.
SAVE_SECONDS = 8.0


class CommandObjective:
    """Starts the program for one trial after the other; no process of a trial outlives it."""

    is_stepwise = False

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._lanes: list[Lane] = []
        self.is_single_use = False  # until a trial fails: then a fresh worker takes the next one

    def complete(self, params: Params) -> Params:
        """Return the params unchanged: the program has its own defaults."""
        return params

    def admit(self, lanes: Sequence[Lane]) -> None:
        """Take the one lane of this process."""
        self._lanes += lanes

    def room(self) -> int:
        """Return 1 for an idle worker."""
        return 1 - len(self._lanes)

    def turn(self) -> Iterator[Exit]:
        """Run the program until the trial ends."""
        if not self._lanes:
            return
        left = run_command(self._setup, self._lanes.pop())
        end_descendants()
        self.is_single_use = left.how not in ORDERLY
        yield left


def run_command(setup: Setup, lane: Lane) -> Exit:
    """Run a program for a trial, and return how it left."""
    record = Record.model_validate(setup.objective)
    trial = build_trial(setup, lane)
    try:
        return _follow(setup, record, lane, trial)
    except (Mistake, BadConfig) as mistake:
        return Exit(lane=lane, how=Outcome.MISTAKE, message=str(mistake))
    except OSError as error:
        return Exit(lane=lane, how=Outcome.EXCEPTION, message=in_words(error))


def _place(setup: Setup, lane: Lane, trial: Trial) -> TrialPlace:
    """Create the trial's folders and the file of `tuner.report`."""
    place = TrialPlace(
        number=lane.number,
        seed=lane.seed,
        step=lane.from_step,
        # Each rank has its own device of those that are visible.
        device=setup.device if setup.n_ranks == 1 else setup.device.partition(":")[0],
        folder=Path(setup.folder),
        trial_dir=trial.dir.absolute(),
        checkpoint_dir=_restored(lane, trial).absolute(),
    )
    place.reports.unlink(missing_ok=True)
    place.reports.touch(mode=0o600)
    return place


def _restored(lane: Lane, trial: Trial) -> Path:
    """Return the folder for the program's checkpoints, with what the trial continues from."""
    if lane.trusts_folders:
        return trial.checkpoint.folder()
    folder = trial.dir / FOLDER
    clear_folder(folder)
    return folder


def _follow(setup: Setup, record: Record, lane: Lane, trial: Trial) -> Exit:
    metric = setup.goal.metric
    if not lane.note_code(hash_named(record.command, record.config, Path(setup.folder))):
        return Exit(lane=lane, how=Outcome.RELEASED)
    place = _place(setup, lane, trial)
    invocation = build_invocation(record, lane.params, place, os.environ)
    source = open_source(record.report, invocation.location, metric, place.reports)
    print(f"tuner: runs {shlex.join(invocation.arguments)}", file=sys.stderr)
    saver = FolderSaver(lane, place.checkpoint_dir, setup.save_every_seconds)
    environment = {**os.environ, **invocation.environment}
    command: Sequence[str] = invocation.arguments
    ranks: Path | None = None
    with ExitStack() as stack:
        if setup.n_ranks > 1:
            ranks = Path(stack.enter_context(TemporaryDirectory(prefix="tuner-ranks-")))
            command = in_ranks(command, setup.n_ranks, ranks)
            environment.setdefault("OMP_NUM_THREADS", str(setup.n_threads))
        process = stack.enter_context(open_process(command, environment, place.folder))
        run = Run(
            lane=lane,
            trial=trial,
            metric=metric,
            process=process,
            source=source,
            saver=saver,
            grace_seconds=max(1.0, setup.grace_seconds - SAVE_SECONDS),
            n_oom_kills=Cgroups().n_oom_kills,
            ranks=ranks,
        )
        return run.follow()


TRAINING = Training(
    warm_up=adopt_orphans,
    build=CommandObjective,
    set_threads=lambda n: None,
    is_program=False,
)
