"""The built-in trainer's model and loss: our own, or callables of the user's."""

from tuner.messages import Setup
from tuner.training import losses, metrics
from tuner.training.data import TrainingData
from tuner.training.losses import Loss
from tuner.training.metrics import Metrics
from tuner.training.mlp_module import initialize_mlp, mlp_module
from tuner.training.model import Model
from tuner.training.modules import ModuleModel
from tuner.training.own_loss import LossFunction, OwnLoss, OwnLossMetrics
from tuner.training.template import Build
from tuner.worker.objectives.loading import load_callable


def loss_of(setup: Setup, data: TrainingData) -> Loss:
    """The user's loss, or the one that fits the data."""
    name = setup.objective.get("loss")
    if name is None:
        return losses.loss_of(data)
    return OwnLoss(load_loss(name, setup.folder), data.train.y_N.dtype, name=name)


def metrics_of(data: TrainingData, loss: Loss) -> Metrics:
    """Those of the task; `val_loss` is the user's where the loss is."""
    of_the_task = metrics.metrics_of(data)
    return OwnLossMetrics(of_the_task, loss) if isinstance(loss, OwnLoss) else of_the_task


def model_of(setup: Setup, data: TrainingData, loss: Loss) -> Model:
    """The user's model, or the multilayer perceptron."""
    name = str(setup.objective["model"])
    if ":" not in name:
        return mlp_as_module(data, loss)
    return ModuleModel(load_model(name, setup.folder), data, loss, name=name)


def mlp_as_module(data: TrainingData, loss: Loss) -> Model:
    """The multilayer perceptron as an ordinary module, which can do half precision."""
    return ModuleModel(mlp_module, data, loss, name="mlp", initialize=initialize_mlp)


def load_model(name: str, folder: str) -> Build:
    """The callable that builds the model; raises `BadCode`."""
    return load_callable(name, folder)


def load_loss(name: str, folder: str) -> LossFunction:
    """The callable of outputs and labels; raises `BadCode`."""
    return load_callable(name, folder, n_arguments=2, example="outputs, y")
