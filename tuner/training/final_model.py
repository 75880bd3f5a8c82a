"""A trained model in one safetensors file: weights, fitted preprocessing, and what builds it.

Nothing in the file can run code: a model of the user's own is built by a callable that is given.
Shapes: N rows, F features, C outputs.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from safetensors import safe_open
from safetensors.torch import save

from tuner.errors import BadRows, RunFailed, UsageError
from tuner.study.trial import Params
from tuner.study_file.trainer_params import Task
from tuner.training.checkpoint import READING_FAILS, BadCheckpoint, load_checkpoint
from tuner.training.data import Split, TrainingData
from tuner.training.final_data import Preprocessing
from tuner.training.mlp_module import mlp_module
from tuner.training.template import Build, build_module

MODEL_FILE = "model.safetensors"
_FORMAT, _ABOUT = "tuner-model-1", "tuner"
_MEAN, _SCALE = "preprocessing.mean", "preprocessing.scale"
_ROWS = 4096  # predicted at once
_MOST_NAMED = 5  # rows in a message


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What builds the model and reads its outputs."""

    model: str  # "mlp", or the callable of the user's own
    params: Params  # complete
    seed: int
    task: Task
    n_features: int
    n_outputs: int
    target_mean: float
    target_scale: float
    classes: tuple[str, ...]
    features: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class FinalModel:
    """Predicts from features in the units of the data source."""

    card: ModelCard
    module: torch.nn.Module  # in evaluation mode, over standardized features
    mean_F: torch.Tensor
    scale_F: torch.Tensor

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes by number; empty for regression."""
        return self.card.classes

    def predict(self, x: ArrayLike) -> NDArray[Any]:
        """Of each row its class, by number, or its target in its own unit.

        Raises `BadRows`, a `ValueError`, for rows of another width or with NaN or infinity.
        """
        outputs_NC = self.outputs(self._standardized(x))
        if self.card.task is Task.CLASSIFICATION:
            return outputs_NC.argmax(1).numpy()
        return outputs_NC[:, 0].double().numpy() * self.card.target_scale + self.card.target_mean

    def predict_proba(self, x: ArrayLike) -> NDArray[np.float64]:
        """The probability of each class (N, C).

        Raises `BadRows` as `predict` does, and `UsageError` for regression.
        """
        if self.card.task is not Task.CLASSIFICATION:
            raise UsageError("a regression model gives no probabilities; use predict")
        outputs_NC = self.outputs(self._standardized(x))
        return np.asarray(torch.softmax(outputs_NC.double(), 1).numpy(), dtype=np.float64)

    @torch.no_grad()
    def outputs(self, x_NF: torch.Tensor) -> torch.Tensor:
        """The raw outputs (N, C) for standardized features, on the CPU."""
        device = next((p.device for p in self.module.parameters()), torch.device("cpu"))
        is_half = self.card.params["precision"] == "bfloat16"
        with torch.autocast(device.type, torch.bfloat16, enabled=is_half):
            parts = [
                self.module(part.to(device)).float().cpu() for part in torch.split(x_NF, _ROWS)
            ]
        return torch.cat(parts) if parts else torch.zeros(0, self.card.n_outputs)

    def _standardized(self, x: ArrayLike) -> torch.Tensor:
        """As the preparation did it; raises `BadRows` for what the model has no answer to."""
        # A copy: of what cannot be written to, a column of pandas for instance, torch warns.
        rows_NF = torch.from_numpy(np.array(x, dtype=np.float64, ndmin=2))
        if rows_NF.dim() != 2 or rows_NF.shape[1] != self.card.n_features:
            given = "x".join(map(str, rows_NF.shape))
            raise BadRows(f"rows of {self.card.n_features} features are needed, not {given}")
        x_NF = ((rows_NF - self.mean_F) / self.scale_F).float()
        is_bad_NF = ~torch.isfinite(x_NF)  # here: what is finite in 64 bits may not be in 32
        if bool(is_bad_NF.any()):
            raise BadRows(_bad_rows(is_bad_NF, self.card.features))
        return x_NF

    def to(self, device: str) -> "FinalModel":
        """The same on another device."""
        self.module.to(device)
        return self


def card_of(
    model: str, params: Params, seed: int, data: TrainingData, preprocessing: Preprocessing
) -> ModelCard:
    """Of a model that was trained on this data."""
    return ModelCard(
        model=model,
        params=params,
        seed=seed,
        task=data.task,
        n_features=data.n_features,
        n_outputs=data.n_outputs,
        target_mean=preprocessing.target_mean,
        target_scale=preprocessing.target_scale,
        classes=preprocessing.classes,
        features=preprocessing.features,
    )


def build_final_model(
    card: ModelCard,
    weights: Mapping[str, torch.Tensor],
    preprocessing: tuple[torch.Tensor, torch.Tensor],
    build: Build | None = None,
) -> FinalModel:
    """The module with these weights.

    `weights` by their names in the module; `preprocessing`: mean and scale of the features;
    `build`: of a model of the user's own.
    """
    is_own = ":" in card.model
    if is_own and build is None:
        name = card.model.rpartition(":")[2]
        raise UsageError(
            f"this model is built by {card.model}, and no file may say which code runs here: "
            f"import it and give it, load_model(..., build={name})"
        )
    module = build_module(build or mlp_module, card.params, _shapes(card), card.seed)
    _fill(module, weights)
    module.eval()
    return FinalModel(card=card, module=module, mean_F=preprocessing[0], scale_F=preprocessing[1])


def encode_model(model: FinalModel) -> bytes:
    """The whole file."""
    weights = _tensors_of(model.module)
    tensors = {name: t.detach().to("cpu", copy=True).contiguous() for name, t in weights.items()}
    tensors |= {_MEAN: model.mean_F.contiguous(), _SCALE: model.scale_F.contiguous()}
    # One key: the library writes several in any order, and equal models are to be equal files.
    about = {"format": _FORMAT, "card": asdict(model.card)}
    return save(tensors, {_ABOUT: json.dumps(about)})


def load_model(
    folder: str | Path, build: Build | None = None, *, device: str = "cpu", sha256: str = ""
) -> FinalModel:
    """The final model of `tuner train`: its folder, or the file `model.safetensors` itself.

    `build` is the callable of a model of your own; `sha256`, where given, must be the file's.
    Raises `RunFailed` for a file that is damaged or none of ours, `UsageError` without `build`.
    """
    path = Path(folder)
    path = path / MODEL_FILE if path.is_dir() else path
    try:
        if sha256 and hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            raise RunFailed(f"{path} is not the file that was written: its sha256 differs")
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get(_ABOUT, "{}"))
            tensors = {name: file.get_tensor(name) for name in list(file.keys())}
        if about.get("format") != _FORMAT:
            raise RunFailed(f"{path} is not a model of this version of tuner")
        card = _card(about["card"])
        preprocessing = tensors.pop(_MEAN), tensors.pop(_SCALE)
    except FileNotFoundError:
        raise RunFailed(f"there is no file {path}; tuner train writes it") from None
    except READING_FAILS as error:
        raise RunFailed(f"{path} cannot be read: {error}") from error
    return build_final_model(card, tensors, preprocessing, build).to(device)


def load_state(folder: str | Path) -> Any:
    """What a function saved last in its final training: the tree, tensors on the CPU.

    Raises `RunFailed` for a file that is damaged or none of ours.
    """
    path = Path(folder)
    path = path / MODEL_FILE if path.is_dir() else path
    try:
        return load_checkpoint(path)
    except BadCheckpoint as error:
        raise RunFailed(str(error)) from error


def natural_weights(
    model: str,
    params: Params,
    weights: Mapping[str, torch.Tensor],
    buffers: Mapping[str, torch.Tensor],
) -> dict[str, torch.Tensor]:
    """A lane's weights as its module has them: the lean perceptron stores hidden ones (F, H)."""
    if ":" in model or params["precision"] != "float32":
        return {**weights, **buffers}
    return {name: _natural(name, weight) for name, weight in weights.items()}


def _natural(name: str, weight: torch.Tensor) -> torch.Tensor:
    if name.endswith(".bias"):
        return weight.flatten()
    return weight.T if name.startswith("hidden.") else weight


def _tensors_of(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Parameters, each once however often it is used, and buffers, whether persistent or not."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


@torch.no_grad()
def _fill(module: torch.nn.Module, weights: Mapping[str, torch.Tensor]) -> None:
    """Raises `RunFailed` where names or shapes are not the module's."""
    tensors = _tensors_of(module)
    if tensors.keys() != weights.keys():
        name = sorted(tensors.keys() ^ weights.keys())[0]
        raise RunFailed(f"these weights are of another model: {name} is only in one of the two")
    for name, tensor in tensors.items():
        if tensor.shape != weights[name].shape:
            shapes = f"{tuple(weights[name].shape)}, not {tuple(tensor.shape)}"
            raise RunFailed(f"these weights are of another model: {name} has shape {shapes}")
        tensor.copy_(weights[name])


def _shapes(card: ModelCard) -> TrainingData:
    """What a callable may ask of the data, without the data."""
    x_NF = torch.zeros(2, card.n_features)
    split = Split(x_NF=x_NF, y_N=torch.zeros(2, dtype=torch.int64))
    n_classes = card.n_outputs if card.task is Task.CLASSIFICATION else 0
    return TrainingData(
        task=card.task, n_classes=n_classes, target_scale=1.0, train=split, validation=split
    )


def _bad_rows(is_bad_NF: torch.Tensor, features: tuple[str, ...]) -> str:
    """Which rows, counted from 0, and the first feature of the first one."""
    rows: list[int] = is_bad_NF.any(1).nonzero()[:, 0].tolist()
    named = ", ".join(map(str, rows[:_MOST_NAMED]))
    more = f" and {len(rows) - _MOST_NAMED} more" if len(rows) > _MOST_NAMED else ""
    column = int(is_bad_NF[rows[0]].nonzero()[0, 0])
    feature = repr(features[column]) if features else str(column)
    return (
        f"row{'s' * (len(rows) > 1)} {named}{more} of {len(is_bad_NF)}, counted from 0: NaN, "
        f"infinity or a number too large (row {rows[0]}: feature {feature}); fill in or leave out "
        "what is missing, the model has seen finite numbers alone"
    )


def _card(stored: Any) -> ModelCard:
    return ModelCard(
        **{
            **stored,
            "task": Task(stored["task"]),
            "classes": tuple(stored["classes"]),
            "features": tuple(stored["features"]),
        }
    )
