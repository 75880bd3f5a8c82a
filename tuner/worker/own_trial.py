"""The `Trial` of a lane, for the user's code in a worker."""

from pathlib import Path

from tuner.messages import Setup
from tuner.training.lane import Lane
from tuner.trial import Trial


def build_trial(setup: Setup, lane: Lane) -> Trial:
    """Build the trial that reports through this lane."""
    return Trial(
        lane.params,
        seed=lane.seed,
        device=setup.device,
        dir=Path(setup.trials_folder) / str(lane.number),
        number=lane.number,
        metric=setup.goal.metric,
        lane=lane,
        space=setup.search_space,
    )
