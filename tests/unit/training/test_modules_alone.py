"""Modules that cannot be fused, and modules that are broken."""

import logging

import pytest
import torch

from tests.unit.training.module_models import (
    UNFUSIBLE,
    Branching,
    Checkpointed,
    CheckpointedReentrantly,
    DrawingWithNumpy,
    DroppingByFunction,
    Exchanging,
    Lanes,
    Noisy,
    Plain,
    Reading,
    Recurrent,
    model_of,
    ordinary_losses,
)
from tests.unit.training.recorder import classification
from tuner.study_file.params.trainer_params import resolve
from tuner.training.fatal_errors import ModelMistake
from tuner.training.modules.template import build_module

REASONS = {
    Recurrent: "torch.vmap refuses it (Batching rule not implemented for aten::gru.input)",
    Reading: "it reads a tensor's value (.item(), float(), int(), tolist())",
    Branching: "its forward branches on a tensor's value (if, while)",
    DroppingByFunction: "its forward draws random numbers; torch.nn.Dropout can be fused",
    Noisy: "its forward draws random numbers; torch.nn.Dropout can be fused",
    DrawingWithNumpy: "its forward draws random numbers; torch.nn.Dropout can be fused",
    Exchanging: "several at once come to other values of the buffer mean than each alone",
    Checkpointed: "its backward pass runs code again, as checkpointing does",
    CheckpointedReentrantly: "it has an autograd.Function, as reentrant checkpointing has",
}

pytestmark = pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad=True")


@pytest.fixture(autouse=True)
def _no_grad():
    with torch.no_grad():
        yield


@pytest.mark.parametrize("build", UNFUSIBLE)
def test_what_cannot_be_fused_has_one_lane_and_one_line_says_why(build, caplog):
    data = classification(n_features=64)
    model = model_of(build, data)
    with caplog.at_level(logging.WARNING):
        assert model.max_lanes(resolve({"batch_size": 16})) == 1
        assert model.max_lanes(resolve({"batch_size": 16})) == 1
        assert model.max_lanes(resolve({"batch_size": 32})) == 1  # another key, nothing new
    (line,) = [record.getMessage() for record in caplog.records]
    assert line == f"net.py:{build.__name__} trains one trial at a time: {REASONS[build]}"


@pytest.mark.parametrize("build", UNFUSIBLE)
def test_a_resume_of_a_lane_alone_is_exact(build):
    data = classification(n_features=64)
    whole, first = (Lanes(model_of(build, data), data, [5]) for _ in range(2))
    losses_S1 = whole.train(7)
    outputs = whole.outputs()
    first.train(3)
    first.outputs()
    torch.manual_seed(123)
    resumed = first.keep([0])
    assert torch.equal(resumed.train(4), losses_S1[3:])
    assert torch.equal(resumed.outputs(), outputs)
    assert torch.equal(resumed.rows.parameters_KD, whole.rows.parameters_KD)


@pytest.mark.parametrize("build", [Recurrent, Reading, Exchanging])
def test_a_lane_alone_is_an_ordinary_module(build):
    data = classification(n_features=64)
    lane = Lanes(model_of(build, data), data, [5])
    losses_S1 = lane.train(6)
    module = build_module(build, lane.params, data, 5)
    for step, loss in enumerate(ordinary_losses(module, data, 6)):
        assert losses_S1[step, 0].item() == pytest.approx(loss, abs=1e-5)
    wanted = module.eval()(data.validation.x_NF)
    assert (lane.outputs()[0].T - wanted).abs().max() < 1e-4


@pytest.mark.parametrize("build", [Checkpointed, CheckpointedReentrantly])
def test_checkpointing_draws_the_same_masks_again(build):
    class Same(build):
        def forward(self, x):
            return self.last(self.between(torch.nn.functional.relu(self.first(x))))

    data = classification(n_features=64, dtype=torch.float64)
    lanes = [Lanes(model_of(kind, data), data, [5]) for kind in (build, Same)]
    losses, wanted = (lane.train(6) for lane in lanes)
    assert torch.allclose(losses, wanted, atol=1e-12)


def test_inference_mode_changes_nothing_for_a_lane_alone():
    data = classification(n_features=64)
    wanted = Lanes(model_of(DroppingByFunction, data), data, [5]).train(5)
    with torch.inference_mode():
        assert torch.equal(Lanes(model_of(DroppingByFunction, data), data, [5]).train(5), wanted)


class Broken(Plain):
    def forward(self, x):
        return self.last(x[:, :5])  # of another width


class BrokenInValidation(Plain):
    def forward(self, x):
        if not self.training:
            raise KeyError("no such layer")
        return super().forward(x)


class Flat(Plain):
    def forward(self, x):
        return super().forward(x).flatten()


class Several(Plain):
    def forward(self, x):
        return super().forward(x), x


def _no_module(n_features):
    return "a module"


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (Broken, RuntimeError, "mat1 and mat2 shapes cannot be multiplied"),
        (BrokenInValidation, KeyError, "no such layer"),
        (Flat, ModelMistake, r"returned the shape \(48,\); return \(16, 3\): for each row"),
        (Several, ModelMistake, r"returned tuple; return a tensor of shape \(16, 3\)"),
        (_no_module, ModelMistake, "returned str; return a torch.nn.Module"),
    ],
)
def test_what_is_broken_comes_out_as_the_users_error(build, error, message, caplog):
    data = classification(n_features=64)
    model = model_of(build, data)
    assert model.max_lanes(resolve({"batch_size": 16})) == 1
    with pytest.raises(error, match=message):
        Lanes(model, data, [5, 6])
    assert not caplog.records


def test_an_argument_that_no_param_fills_is_the_users_error():
    data = classification(n_features=64)

    def needs_more(n_features, kernel): ...

    with pytest.raises(TypeError, match="missing 1 required positional argument: 'kernel'"):
        Lanes(model_of(needs_more, data), data, [5])
