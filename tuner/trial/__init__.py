"""`tuner.Trial`: the argument of a user's `def train(trial)`, within tuner or alone."""

from tuner.trial.ends import Mistake, TrialDropped, TrialEnd, TrialPruned, TrialReleased
from tuner.trial.trial import MAX_ATTRIBUTES, MAX_METRICS, MAX_STEP, Trial, check_return
from tuner.trial.values import MAX_ATTRIBUTE

__all__ = [
    "MAX_ATTRIBUTE",
    "MAX_ATTRIBUTES",
    "MAX_METRICS",
    "MAX_STEP",
    "Mistake",
    "Trial",
    "TrialDropped",
    "TrialEnd",
    "TrialPruned",
    "TrialReleased",
    "check_return",
]
