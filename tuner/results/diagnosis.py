"""Judgement of a training by its loss curves, and the advice that follows for a study.

The rule follows Prechelt ("Early Stopping - But When?", 1998) in its generalization loss with the
threshold of 5 % and in its strips of 5 epochs, and Goodfellow, Bengio & Courville ("Deep Learning",
2016, sections 5.2 and 11.4) in the signs of over- and underfitting and of a learning rate that is
too high. Let a curve have n >= 4 steps, and the strip be its last min(5, n // 2) ones. The first
statement that holds is the finding:

- DIVERGENCE: the mean of train_loss in the strip is not below its first value, or is no number.
- OVERFITTING: the mean of val_loss in the strip is at least 5 % above its lowest value, and the
  mean of train_loss there is below its value at the step of that lowest val_loss.
- UNDERFITTING: in the strip, both losses came at least 1 % below their lowest values before it.
- PLATEAU: in the second half, neither loss came 0.1 % below its lowest value of the first half.

Ratios of losses need positive ones: a curve with others is not judged.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from tuner.storage.reading.columns import Curve, Floats

N_JUDGED = 20  # best trials of a study
_MIN_STEPS, _STRIP = 4, 5
_MIN_AGREEING = 3  # trials
_OVERFIT, _STILL_FALLING, _NO_MORE = 0.05, 0.01, 0.001  # shares of a loss


class Finding(StrEnum):
    """The most important sign that a training could be better."""

    DIVERGENCE = "divergence"
    OVERFITTING = "overfitting"
    UNDERFITTING = "underfitting"
    PLATEAU = "plateau"


@dataclass(frozen=True, kw_only=True)
class Losses:
    """The curves of one trial."""

    train: Curve
    validation: Curve


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """The finding about one trial, and its reason as a sentence without a subject."""

    finding: Finding
    reason: str


@dataclass(frozen=True, kw_only=True)
class Advice:
    """A finding that at least half of the best trials share."""

    finding: Finding
    n_trials: int
    n_judged: int
    text: str  # "14 of the 20 best trials overfit: search dropout or weight_decay"


def diagnose(losses: Losses, noun: str = "epoch") -> Diagnosis | None:
    """Judge a training by its curves so far; None without a finding, or if they are too short.

    `noun` is that of a step.
    """
    steps, train, validation = _at_common_steps(losses)
    n_strip = min(_STRIP, len(steps) // 2)
    if len(steps) < _MIN_STEPS:
        return None
    train_end, validation_end = train[-n_strip:].mean(), validation[-n_strip:].mean()
    if not train_end < train[0]:
        reason = f"train_loss is not below its value after {noun} {steps[0]}"
        return Diagnosis(finding=Finding.DIVERGENCE, reason=reason)
    if not (np.isfinite(validation).all() and (train > 0).all() and (validation > 0).all()):
        return None
    at = int(validation.argmin())
    rise = validation_end / validation[at] - 1
    if rise >= _OVERFIT and train_end < train[at]:
        reason = (
            f"val_loss ends {rise:.0%} above its lowest value, of {noun} {steps[at]}, while "
            "train_loss fell further"
        )
        return Diagnosis(finding=Finding.OVERFITTING, reason=reason)
    if all(_falls(curve, len(steps) - n_strip, _STILL_FALLING) for curve in (train, validation)):
        reason = f"both losses still fell by more than {_STILL_FALLING:.0%} at the end"
        return Diagnosis(finding=Finding.UNDERFITTING, reason=reason)
    half = len(steps) // 2
    if not any(_falls(curve, half, _NO_MORE) for curve in (train, validation)):
        reason = f"neither loss fell by {_NO_MORE:.1%} after {noun} {steps[half - 1]}"
        return Diagnosis(finding=Finding.PLATEAU, reason=reason)
    return None


def _at_common_steps(losses: Losses) -> tuple[Sequence[int], Floats, Floats]:
    steps, of_train, of_validation = np.intersect1d(
        losses.train.steps, losses.validation.steps, return_indices=True
    )
    train, validation = losses.train.values[of_train], losses.validation.values[of_validation]
    return steps.tolist(), train, validation


def _falls(curve: Floats, first: int, share: float) -> bool:
    """Return whether the values from index `first` on come this share below those before it."""
    return bool(curve[first:].min() <= (1 - share) * curve[:first].min())


_VERBS: Mapping[Finding, str] = {
    Finding.DIVERGENCE: "diverge",
    Finding.OVERFITTING: "overfit",
    Finding.UNDERFITTING: "underfit",
    Finding.PLATEAU: "stop improving halfway",
}
# Parameters of the trainer that can help, the first ones first; and what helps besides.
_REMEDIES: Mapping[Finding, tuple[tuple[str, ...], str]] = {
    Finding.DIVERGENCE: (("clip_norm", "warmup"), "lower the upper end of learning_rate"),
    Finding.OVERFITTING: (
        ("dropout", "weight_decay", "label_smoothing", "l1"),
        "train on more rows, or allow smaller models",
    ),
    Finding.UNDERFITTING: (("learning_rate", "width"), "raise epochs"),
    Finding.PLATEAU: (("schedule", "learning_rate", "width"), "allow larger models"),
}
_MAX_NAMED = 2


def advise(
    diagnoses: Sequence[Diagnosis | None], searched: Collection[str], usable: Collection[str]
) -> Advice | None:
    """Return the finding that at least half of the best trials share, with what to search.

    `diagnoses` are those of the best trials, `searched` the names of the search space, and `usable`
    the parameters that the objective takes.
    """
    found = [diagnosis.finding for diagnosis in diagnoses if diagnosis is not None]
    most = max(Finding, key=found.count)
    n = found.count(most)
    if n < _MIN_AGREEING or 2 * n < len(diagnoses):
        return None
    names, besides = _REMEDIES[most]
    new = [name for name in names if name in usable and name not in searched][:_MAX_NAMED]
    remedy = f"search {' or '.join(new)}" if new else besides
    text = f"{n} of the {len(diagnoses)} best trials {_VERBS[most]}: {remedy}"
    return Advice(finding=most, n_trials=n, n_judged=len(diagnoses), text=text)
