"""Model and loss of the built-in trainer: built-in ones, or callables of the user."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tuner.messages import Setup
from tuner.study_file.code_names import is_code_name
from tuner.study_file.kinds.losses import BuiltInLoss
from tuner.training.cnn.module import cnn_module, initialize_cnn
from tuner.training.data.dataset import Dataset, load_dataset
from tuner.training.losses import built_in as losses
from tuner.training.losses.built_in import Loss
from tuner.training.losses.metrics import Metrics, reported_names
from tuner.training.losses.own import LossFunction, OwnLoss
from tuner.training.mlp.module import initialize_mlp, mlp_module
from tuner.training.mlp.stack import MLP
from tuner.training.model import Model
from tuner.training.modules.kind import ModuleModel
from tuner.training.modules.template import Build
from tuner.training.precision import ByPrecision
from tuner.worker.bad_code import BadCode
from tuner.worker.faults import in_words
from tuner.worker.loading import last_user_frame, load_callable


def loss_of(setup: Setup, data: Dataset) -> Loss:
    """Return the user's loss, or a built-in one."""
    loss = setup.objective.get("loss")
    if isinstance(loss, str):
        return OwnLoss(load_loss(loss, setup.folder), data.train.y_N.dtype, name=loss)
    return losses.loss_of(data, BuiltInLoss.model_validate(loss) if loss else None)


def metrics_of(setup: Setup, data: Dataset, loss: Loss) -> Metrics:
    """Return the metrics that the study asks for, with its goal."""
    names = reported_names(setup.objective.get("metrics"), setup.goal.metric, data.task)
    return Metrics(data, loss, names)


def data_of(setup: Setup) -> Dataset:
    """Open the prepared data, without the test split."""
    augment = setup.objective.get("augment") or ()
    return load_dataset(Path(setup.data_folder), setup.device, augment)


def model_of(setup: Setup, data: Dataset, loss: Loss) -> Model:
    """Return the user's model, or a built-in one."""
    name = str(setup.objective["model"])
    if is_code_name(name):
        return ModuleModel(load_model(name, setup.folder), data, loss, name=name)
    return cnn_of(data, loss) if name == "cnn" else mlp_of(data, loss)


def cnn_of(data: Dataset, loss: Loss) -> Model:
    """Return the convolutional network."""
    assert data.shape is not None, "the preparation has checked it"
    build = partial(cnn_module, shape=data.shape)
    return ModuleModel(build, data, loss, name="cnn", initialize=initialize_cnn)


def mlp_of(data: Dataset, loss: Loss) -> Model:
    """Return the multilayer perceptron; in half precision it is an ordinary module."""
    module = ModuleModel(mlp_module, data, loss, name="mlp", initialize=initialize_mlp)
    return ByPrecision(float32=MLP(data.n_features, data.n_outputs, loss), bfloat16=module)


def load_model(name: str, folder: str) -> Build:
    """Load the callable that builds the model; raises `BadCode`."""
    return load_callable(name, folder)


def load_data(name: str, folder: str) -> Callable[[], Any]:
    """Load the callable that returns the data; its errors become `BadCode` with their place."""
    function = load_callable(name, folder, n_arguments=0)

    def load() -> Any:
        try:
            return function()
        except Exception as error:
            place = last_user_frame(error.__traceback__)
            at = f" ({place})" if place else ""
            raise BadCode(f"{name} failed: {in_words(error)}{at}") from error

    return load


def load_loss(name: str, folder: str) -> LossFunction:
    """Load the callable of outputs and labels; raises `BadCode`."""
    return load_callable(name, folder, n_arguments=2, example="outputs, y")
