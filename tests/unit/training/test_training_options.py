"""Each training option of a lane: it has an effect, and no company or takeover changes a bit."""

from collections.abc import Mapping

import pytest
import torch

from tests.unit.training.recorder import RecorderLane, classification, regression, run
from tuner.study.trial import ParamValue
from tuner.study.verdict import Outcome
from tuner.study_file.params.trainer_params import PER_LANE_PARAMS, TRAINER_PARAMS
from tuner.training.checkpoint import BadCheckpoint, load_checkpoint
from tuner.training.groups.group import Group
from tuner.training.losses.built_in import loss_of
from tuner.training.mlp.stack import MLP
from tuner.training.schedules import Plateau
from tuner.training.settings import settings_of

pytestmark = pytest.mark.usefixtures("one_thread")

_SGD: Mapping[str, ParamValue] = {"optimizer": "sgd", "learning_rate": 0.05}
_FAST_PLATEAU: Mapping[str, ParamValue] = {"schedule": "plateau", "plateau_patience": 0, **_SGD}
# by parameter: the lane's params without it, and a value of it
OPTIONS: Mapping[str, tuple[Mapping[str, ParamValue], ParamValue]] = {
    "learning_rate": ({}, 0.01),
    "weight_decay": ({}, 0.1),
    "momentum": (_SGD, 0.5),
    "nesterov": (_SGD, True),
    "beta1": ({}, 0.5),
    "beta2": ({"optimizer": "adamw"}, 0.9),
    "l1": ({}, 0.01),
    "optimizer": ({}, "rmsprop"),
    "schedule": ({}, "one_cycle"),
    "step_every": ({"schedule": "step"}, 2),
    "step_factor": ({"schedule": "step", "step_every": 1}, 0.5),
    "plateau_patience": ({"schedule": "plateau", "learning_rate": 1.0, **_SGD}, 0),
    "plateau_factor": ({**_FAST_PLATEAU, "learning_rate": 1.0}, 0.5),
    "warmup": ({}, 2.5),
    "clip_norm": (_SGD, 0.1),
    "label_smoothing": ({}, 0.2),
    "init": ({}, "orthogonal"),
    "epochs": ({"schedule": "cosine"}, 6),
    "patience": ({"learning_rate": 3.0, **_SGD}, 1),
}
_SHAPE: Mapping[str, ParamValue] = {"batch_size": 16, "width": 24}


def _lane(number: int, params: Mapping[str, ParamValue], **rest: object) -> RecorderLane:
    return RecorderLane(number, **{**_SHAPE, "epochs": 5, **params, **rest})


def _company() -> list[RecorderLane]:
    """Lanes with other options, and one without any."""
    return [
        _lane(1, {}),
        _lane(2, {**_SGD, "schedule": "cosine", "clip_norm": 0.5, "nesterov": True}),
        _lane(3, {"optimizer": "rmsprop", "label_smoothing": 0.1, "warmup": 1.5, "n_layers": 3}),
    ]


def test_every_parameter_of_a_lane_is_tested_here():
    assert set(OPTIONS) == set(PER_LANE_PARAMS)
    assert set(OPTIONS) < set(TRAINER_PARAMS)


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_has_an_effect_and_the_same_bits_in_any_company(option, tmp_path):
    data = classification(n_train=97, n_features=64)
    base, value = OPTIONS[option]
    params = {**base, option: value}
    alone, plain, together = _lane(0, params, spool=tmp_path), _lane(0, base), _lane(0, params)
    run([alone], data)
    run([plain], data)
    run([together, *_company()], data)
    assert alone.curve != plain.curve
    assert together.curve == alone.curve

    resumed = _lane(0, params, checkpoint=alone.files[min(2, max(alone.files))])
    run([resumed, *_company()], data)
    assert resumed.curve == {s: v for s, v in alone.curve.items() if s in resumed.reports}
    assert max(resumed.curve) == max(alone.curve)


def test_a_lane_without_options_keeps_its_bits_next_to_lanes_with_them():
    data = classification(n_train=97, n_features=64)
    company = _company()
    run(company, data)
    for grouped, alone in zip(company, _company(), strict=True):
        run([alone], data)
        assert alone.curve == grouped.curve


@pytest.mark.parametrize("init", ["kaiming", "xavier", "orthogonal"])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_first_weights_follow_torchs_initializers(init, activation):
    lane = _lane(0, {"init": init, "activation": activation, "width": 64})
    data = regression(n_features=200)
    weights = MLP(data.n_features, 1, loss_of(data)).fresh(lane.params, lane.seed).parameters
    assert all(not weights[f"{name}.bias"].any() for name in ("hidden.0", "hidden.1", "output"))
    gain = torch.nn.init.calculate_gain(activation)
    for name, of_layer in (("hidden.0", gain), ("hidden.1", gain), ("output", 1.0)):
        found = weights[f"{name}.weight"]
        found = found if name == "output" else found.T  # (outputs, inputs) as torch has them
        like = torch.empty_like(found)
        if init == "orthogonal":
            n_short = min(found.shape)
            long = found if found.shape[0] == n_short else found.T
            wanted = torch.eye(n_short) * of_layer**2
            assert torch.allclose(long @ long.T, wanted, atol=1e-5), name
            continue
        if init == "xavier":
            torch.nn.init.xavier_uniform_(like)
        else:
            kind = "linear" if name == "output" else activation
            torch.nn.init.kaiming_uniform_(like, nonlinearity=kind)
        assert found.std() == pytest.approx(like.std().item(), rel=0.2), name
        assert found.abs().max() == pytest.approx(like.abs().max().item(), rel=0.1), name


def test_patience_ends_a_trial_that_is_complete_and_says_why():
    data = classification()
    lane = _lane(0, {"learning_rate": 3.0, "patience": 2, "epochs": 30, "optimizer": "sgd"})
    other = _lane(1, {"epochs": 7, "patience": 20})
    ends = {departure.lane: departure for departure in run([lane, other], data)}
    first, second = ends[lane], ends[other]
    assert (first.how, first.is_early) == (Outcome.COMPLETE, True)
    assert first.step == first.best_step + 2 < 30
    assert len(lane.reports) == first.step
    assert lane.kept is not None, "its weights are offered"
    assert lane.last_step == first.step, "so that no pruner judges that report"
    assert (second.how, second.step, second.is_early) == (Outcome.COMPLETE, 7, False)


def test_patience_that_ends_with_the_last_epoch_is_no_early_end():
    data = classification()
    params = {"learning_rate": 3.0, "optimizer": "sgd"}
    [departure] = run([_lane(0, {**params, "patience": 2, "epochs": 30})], data)
    lane = _lane(0, {**params, "patience": 2, "epochs": departure.step})
    [again] = run([lane], data)
    assert (again.step, again.best_step) == (departure.step, departure.best_step)
    assert not again.is_early


def test_patience_follows_the_goal_of_the_study():
    data = classification()
    lane = _lane(0, {"patience": 3, "epochs": 40, "learning_rate": 0.003})
    [departure] = run([lane], data, "val_accuracy", minimize=False)
    assert departure.is_early
    best = max(v["val_accuracy"] for v in lane.reports.values())
    assert lane.reports[departure.best_step]["val_accuracy"] == best


def test_the_state_of_a_plateau_is_in_the_checkpoint(tmp_path):
    params = {**_FAST_PLATEAU, "learning_rate": 1.0}
    lane = _lane(0, params, spool=tmp_path)
    run([lane], classification())
    state = load_checkpoint(lane.files[4])
    assert state["plateau"]["factor"] < 1
    del state["plateau"]
    with pytest.raises(BadCheckpoint, match="plateau"):
        _resume_without(state, params)


def _resume_without(state, params):
    data = classification()
    model = MLP(data.n_features, data.n_outputs, loss_of(data))
    Group(model, [_lane(0, params)], data.train.x_NF).resume(0, state)


def test_a_plateau_without_a_number_counts_as_bad():
    lane = _lane(0, _FAST_PLATEAU)
    settings = settings_of(lane.params)
    found = Plateau().after(1.0, settings).after(float("nan"), settings)
    assert (found.best, found.factor) == (1.0, settings.plateau_factor)


def test_a_lane_without_a_plateau_has_the_state_of_earlier_versions(tmp_path):
    lane = _lane(0, {"schedule": "one_cycle", "clip_norm": 1.0, "patience": 3}, spool=tmp_path)
    run([lane], classification())
    state = load_checkpoint(lane.files[2])
    assert set(state) == {
        "structure", "step", "weights", "buffers", "optimizer", "best", "last_values",
    }  # fmt: skip
    assert set(state["optimizer"]) == {"mean", "square", "n_steps"}
