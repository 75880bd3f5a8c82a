"""One final training: its config, its folder, and its listeners."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tuner.errors import RunFailed
from tuner.export.final_lane import FinalLane, Told
from tuner.export.train_options import TrainOptions, threads_of
from tuner.messages import Setup
from tuner.study.verdict import Outcome
from tuner.study_file.best import BestConfig
from tuner.worker.exits import Exit


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The end of a final training."""

    folder: Path
    metrics: Mapping[str, Any] = field(default_factory=dict)  # `metrics.json`; empty: stopped
    step: int = 0  # where it was stopped
    was_done: bool = False  # by an earlier call


@dataclass(frozen=True, kw_only=True)
class Job:
    """A final training in its folder."""

    config: BestConfig
    source: Path  # the config's own folder
    options: TrainOptions
    folder: Path
    device: str
    stop: threading.Event
    tell: Callable[[Told | str], None]

    def setup(self, data_folder: str) -> Setup:
        """Return the setup that a worker of the search would get."""
        config = self.config
        return Setup(
            device=self.device,
            n_threads=threads_of(self.config, self.options),
            objective=config.objective.model_dump(mode="json"),
            fixed={},
            data_folder=data_folder,
            data_seed=config.data_seed,
            goal=config.goal,
            spool=str(self.folder),
            save_every_seconds=0.0,
            folder=str(self.source),
            trials_folder=str(self.folder / "files"),
            n_lanes=1,
            n_ranks=config.processes_per_trial,
        )

    def lane(self, *, is_stepwise: bool) -> FinalLane:
        """Open the lane; report if it does not start from the beginning."""
        config = self.config
        lane = FinalLane(
            config.params,
            config.seed,
            self.folder,
            config.goal,
            n_steps=config.n_steps,
            stop=self.stop,
            tell=self.tell,
            is_stepwise=is_stepwise,
        )
        if lane.from_step:
            self.tell(f"continues from step {lane.from_step}, which {self.folder} holds")
        return lane

    def left(self, lane: FinalLane, left: Exit) -> Trained | None:
        """Return None for a complete training; raises `RunFailed` for one that failed."""
        match left.how:
            case Outcome.COMPLETE:
                return None
            case Outcome.RELEASED | Outcome.PRUNED | Outcome.DROPPED if self.stop.is_set():
                return Trained(folder=self.folder, step=lane.from_step)
            case _:
                what = left.message or f"it left by itself ({left.how})"
                raise RunFailed(f"the final training failed: {what}")
