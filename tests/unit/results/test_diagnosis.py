"""The rule that judges a training by its curves, and the advice for a study."""

import numpy as np
import pytest

from tuner.results.diagnosis import Diagnosis, Finding, Losses, advise, diagnose
from tuner.storage.reading.columns import Curve
from tuner.study_file.kinds.losses import BuiltInLoss
from tuner.study_file.kinds.trainer import TrainerObjective
from tuner.study_file.params.trainer_params import Task


def _curve(values, first=1):
    steps = np.arange(first, first + len(values))
    return Curve(steps=steps, values=np.array(values, dtype=np.float64))


def _judge(train, validation):
    return diagnose(Losses(train=_curve(train), validation=_curve(validation)))


N = np.arange(20)
FALLING = 2.0 * 0.9**N  # 10 % an epoch
SETTLED = 0.5 + 1.5 * 0.5**N
RISING = np.concatenate([SETTLED[:8], SETTLED[7] * 1.03 ** np.arange(1, 13)])

CASES = {
    "train_loss that grows": (1 + 0.1 * N, 1 + 0.1 * N, Finding.DIVERGENCE),
    "train_loss that becomes no number": (
        np.where(N < 16, FALLING, np.nan), FALLING, Finding.DIVERGENCE,
    ),
    "train_loss that comes back to its first value": (
        np.where(N < 10, FALLING, 2.1), FALLING, Finding.DIVERGENCE,
    ),
    "val_loss that rises while train_loss falls": (FALLING, RISING, Finding.OVERFITTING),
    "both still fall": (FALLING, FALLING * 1.2, Finding.UNDERFITTING),
    "both settled long ago": (SETTLED[-1] + (N < 3), 0.1 + SETTLED[-1] + (N < 3), Finding.PLATEAU),
    "train_loss falls and val_loss holds": (FALLING, 0.3 + 0.5 * 0.6**N, None),
    "val_loss rises with train_loss": (
        np.where(N < 12, FALLING, FALLING[11] * 1.5), np.where(N < 12, FALLING, 1.0), None,
    ),
    "val_loss rises by less than 5 %": (FALLING, np.where(N < 10, SETTLED, 0.51), None),
    "too short": (FALLING[:3], RISING[:3], None),
    "losses below 0": (FALLING - 1.9, RISING - 5, None),
}  # fmt: skip


@pytest.mark.parametrize(("train", "validation", "finding"), CASES.values(), ids=CASES.keys())
def test_a_curve_has_the_finding_of_the_rule(train, validation, finding):
    found = _judge(train, validation)
    assert (found and found.finding) == finding


@pytest.mark.parametrize("n_steps", [4, 5, 9, 10, 11, 300])
def test_curves_of_any_length_are_judged(n_steps):
    n = np.arange(n_steps)
    low = n_steps // 3
    validation = np.where(n <= low, 1.0 - 0.1 * n / n_steps, 1.2)
    found = _judge(2.0 * 0.9**n, validation)
    assert found is not None
    assert found.finding is Finding.OVERFITTING
    assert f"of epoch {low + 1}," in found.reason


def test_only_steps_with_both_losses_count():
    losses = Losses(train=_curve(FALLING, first=1), validation=_curve(RISING, first=15))
    assert diagnose(losses) is not None
    assert diagnose(Losses(train=_curve(FALLING), validation=_curve(RISING, first=18))) is None


def test_a_reason_names_the_step():
    found = _judge(FALLING, RISING)
    assert found is not None
    assert found.reason == (
        "val_loss ends 35% above its lowest value, of epoch 8, while train_loss fell further"
    )


def _found(**counts):
    findings = {Finding(name): n for name, n in counts.items() if name != "none"}
    named = [
        Diagnosis(finding=finding, reason="") for finding, n in findings.items() for _ in range(n)
    ]
    return [*named, *[None] * counts.get("none", 0)]


ALL = frozenset({"dropout", "weight_decay", "label_smoothing", "l1", "schedule", "learning_rate"})


@pytest.mark.parametrize(
    ("found", "searched", "text"),
    [
        (
            _found(overfitting=14, none=6),
            (),
            "14 of the 20 best trials overfit: search dropout or weight_decay",
        ),
        (
            _found(overfitting=10, plateau=10),
            ("dropout",),
            "10 of the 20 best trials overfit: search weight_decay or label_smoothing",
        ),
        (
            _found(overfitting=3),
            ALL,
            "3 of the 3 best trials overfit: train on more rows, or allow smaller models",
        ),
        (
            _found(underfitting=5, none=3),
            ("learning_rate",),
            "5 of the 8 best trials underfit: raise epochs",
        ),
        (
            _found(plateau=4),
            (),
            "4 of the 4 best trials stop improving halfway: search schedule or learning_rate",
        ),
        (
            _found(divergence=4),
            (),
            "4 of the 4 best trials diverge: lower the upper end of learning_rate",
        ),
    ],
)
def test_advice_names_what_is_not_searched_yet(found, searched, text):
    advice = advise(found, searched, ALL)
    assert advice is not None
    assert advice.text == text


@pytest.mark.parametrize(
    "found",
    [
        [],
        _found(none=20),
        _found(overfitting=2),
        _found(overfitting=9, none=11),
        _found(overfitting=6, plateau=5, underfitting=4),
    ],
)
def test_there_is_no_advice_unless_half_of_at_least_three_agree(found):
    assert advise(found, (), ALL) is None


def _objective(**changes):
    stored = {"data": {"sklearn": "digits"}, "model": "mlp", **changes}
    return TrainerObjective.model_validate(stored)


def test_advice_names_only_params_with_an_effect():
    smoothing = "label_smoothing"
    assert {"dropout", "init", smoothing} <= _objective().helpful_params
    own_model = _objective(model="net.py:net").helpful_params
    assert {"weight_decay", "schedule", smoothing} <= own_model
    assert not {"dropout", "width", "init"} & own_model
    of_images = _objective(data={"images": "photos"}, model="cnn").helpful_params
    assert {"dropout", "channels"} <= of_images
    assert smoothing not in _objective(loss="net.py:loss").helpful_params
    assert smoothing not in _objective(data={"sklearn": "diabetes"}).helpful_params
    unknown = {"csv": "a.csv", "target": "y"}
    assert smoothing not in _objective(data=unknown).helpful_params
    balanced = BuiltInLoss(name="cross_entropy", class_weight="balanced").model_dump()
    known = _objective(data=unknown, task=Task.CLASSIFICATION, loss=balanced)
    assert smoothing in known.helpful_params
