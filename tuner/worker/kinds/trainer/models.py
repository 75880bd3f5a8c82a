"""The built-in trainer's model and loss: our own, or callables of the user's."""

from tuner.messages import Setup
from tuner.study_file.code_names import is_code_name
from tuner.training.data.dataset import Dataset
from tuner.training.losses import built_in as losses
from tuner.training.losses.built_in import Loss
from tuner.training.losses.own import LossFunction, OwnLoss
from tuner.training.mlp.module import initialize_mlp, mlp_module
from tuner.training.mlp.stack import MLP
from tuner.training.model import Model
from tuner.training.modules.kind import ModuleModel
from tuner.training.modules.template import Build
from tuner.training.precision import ByPrecision
from tuner.worker.loading import load_callable


def loss_of(setup: Setup, data: Dataset) -> Loss:
    """The user's loss, or the one that fits the data."""
    name = setup.objective.get("loss")
    if name is None:
        return losses.loss_of(data)
    return OwnLoss(load_loss(name, setup.folder), data.train.y_N.dtype, name=name)


def model_of(setup: Setup, data: Dataset, loss: Loss) -> Model:
    """The user's model, or the multilayer perceptron."""
    name = str(setup.objective["model"])
    if not is_code_name(name):
        return mlp_of(data, loss)
    return ModuleModel(load_model(name, setup.folder), data, loss, name=name)


def mlp_of(data: Dataset, loss: Loss) -> Model:
    """The multilayer perceptron; in half precision it is an ordinary module."""
    module = ModuleModel(mlp_module, data, loss, name="mlp", initialize=initialize_mlp)
    return ByPrecision(float32=MLP(data.n_features, data.n_outputs, loss), bfloat16=module)


def load_model(name: str, folder: str) -> Build:
    """The callable that builds the model; raises `BadCode`."""
    return load_callable(name, folder)


def load_loss(name: str, folder: str) -> LossFunction:
    """The callable of outputs and labels; raises `BadCode`."""
    return load_callable(name, folder, n_arguments=2, example="outputs, y")
