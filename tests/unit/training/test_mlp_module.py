"""The built-in model as an ordinary module, for half precision."""

import pytest
import torch

from tests.unit.training.module_models import Lanes
from tests.unit.training.recorder import classification
from tests.unit.training.reference import reference_model
from tuner.study_file.params.trainer_params import resolve
from tuner.training.losses.built_in import loss_of
from tuner.training.mlp.module import initialize_mlp, mlp_module
from tuner.training.modules.kind import ModuleModel
from tuner.training.settings import settings_of


def _model(data):
    return ModuleModel(mlp_module, data, loss_of(data), name="mlp", initialize=initialize_mlp)


@pytest.mark.parametrize("n_layers", [0, 1, 3])
@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
def test_it_starts_from_the_values_of_the_lean_model(n_layers, activation):
    data = classification()
    given = {"n_layers": n_layers, "width": 12, "activation": activation}
    lanes = Lanes(_model(data), data, [3, 4], given)
    for k, seed in enumerate((3, 4)):
        wanted = reference_model(data, settings_of(resolve(given)), seed).float()
        x_BF = data.validation.x_NF
        assert torch.allclose(lanes.outputs()[k].T, wanted(x_BF), atol=1e-6)


def test_its_parameters_have_the_names_of_the_lean_model():
    names = [p.name for p in _model(classification()).layout(resolve({})).parameters]
    layers = ("hidden.0", "hidden.1", "output")
    assert names == [f"{layer}.{kind}" for kind in ("weight", "bias") for layer in layers]


@torch.no_grad()
def test_half_precision_and_dropout_train():
    data = classification()
    lanes = Lanes(_model(data), data, [3, 4], {"precision": "bfloat16", "dropout": 0.2})
    losses_SK = lanes.train(60)
    assert (losses_SK[-8:].mean(0) < 0.8 * losses_SK[:8].mean(0)).all()
