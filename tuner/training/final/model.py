"""A trained model in one safetensors file: weights, fitted preprocessing, and its architecture.

Nothing in the file can run code: a custom model is built by a callable that the caller passes.
Shapes: N rows, F features, C outputs.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save

from tuner.errors import RunFailed, TunerError, UsageError
from tuner.study.trial import Params
from tuner.study_file.params.trainer_params import Task
from tuner.training.checkpoint import CHECKPOINT_FORMAT, load_checkpoint
from tuner.training.checkpoint_file import BadCheckpoint
from tuner.training.cnn.module import cnn_module
from tuner.training.data.dataset import Dataset, Split, byte_scale_of
from tuner.training.data.preparation import Preparation
from tuner.training.data.rows import columns_of, pixels_of
from tuner.training.final.model_card import ModelCard, TensorHead, check_heads, load_card
from tuner.training.final.stored_preparation import (
    load_stored_preparation,
    preparation_tensors,
    split_tensors,
)
from tuner.training.mlp.module import mlp_module
from tuner.training.modules.generators import generators_kept
from tuner.training.modules.template import Build, arguments_of, build_module
from tuner.training.tensor_file import (
    READING_FAILS,
    is_usable,
    open_tensor_file,
    printable,
    reason_of,
)

MODEL_FILE = "model.safetensors"
CHECKPOINT_FOLDER = "checkpoint"  # instead of it: files that a function or a program saved
_CARD = "model-card.md"  # in a finished folder, as `tuner.export.final_folder` writes it
_FORMATS = ("tuner-model-1", "tuner-model-2")  # the last one is written
_ABOUT = "tuner"
_ROWS = 4096  # predicted at once


@dataclass(frozen=True, kw_only=True)
class FinalModel:
    """Predicts from rows as the data source has them.

    Rows are a file (CSV, Parquet), a frame, an Arrow table, a dict of columns, a list of dicts, or
    an array (N, F) if all columns are numbers; for images arrays of bytes (N, H, W[, C]), files or
    a folder. Columns go by their names, and others are ignored.
    """

    card: ModelCard
    module: torch.nn.Module  # in evaluation mode, over prepared features
    preparation: Preparation

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the names of the classes by number; empty for regression."""
        return self.card.classes

    def predict(self, rows: Any, *, is_lenient: bool = False) -> NDArray[Any]:
        """Return each row's class number, or its target in its own unit.

        Raises `BadRows`, a `ValueError`, for rows without a column, with NaN, infinity or no value
        where no training row lacked one, or with a new category. With `is_lenient`, missing values
        are filled in and new categories count as none.
        """
        outputs_NC = self.outputs(self.inputs(rows, is_lenient=is_lenient))
        if self.card.task is Task.CLASSIFICATION:
            return outputs_NC.argmax(1).numpy()
        return outputs_NC[:, 0].double().numpy() * self.card.target_scale + self.card.target_mean

    def predict_proba(self, rows: Any, *, is_lenient: bool = False) -> NDArray[np.float64]:
        """Return the probability of each class (N, C).

        Raises `BadRows` as `predict` does, and `UsageError` for regression.
        """
        if self.card.task is not Task.CLASSIFICATION:
            raise UsageError("a regression model gives no probabilities; use predict")
        outputs_NC = self.outputs(self.inputs(rows, is_lenient=is_lenient))
        return np.asarray(torch.softmax(outputs_NC.double(), 1).numpy(), dtype=np.float64)

    def inputs(self, rows: Any, *, is_lenient: bool = False) -> torch.Tensor:
        """Return the prepared features (N, F) of rows; raises `BadRows`."""
        if self.preparation.pixels is not None:
            pixels_NCHW = torch.from_numpy(pixels_of(rows, self.preparation))
            scale = byte_scale_of(self.preparation.pixels)
            return Split(x_NF=pixels_NCHW.flatten(1), y_N=torch.empty(0), byte_scale=scale).inputs()
        columns = columns_of(rows, self.preparation, is_lenient=is_lenient)
        return torch.from_numpy(self.preparation.inputs(columns))

    @torch.no_grad()
    def outputs(self, x_NF: torch.Tensor) -> torch.Tensor:
        """Return the raw outputs (N, C) for prepared features, on the CPU."""
        device = next((p.device for p in self.module.parameters()), torch.device("cpu"))
        is_half = self.card.params["precision"] == "bfloat16"
        with torch.autocast(device.type, torch.bfloat16, enabled=is_half):
            parts = [
                self.module(part.to(device)).float().cpu() for part in torch.split(x_NF, _ROWS)
            ]
        return torch.cat(parts) if parts else torch.zeros(0, self.card.n_outputs)

    def to(self, device: str) -> "FinalModel":
        """Copy the model to another device."""
        self.module.to(device)
        return self


def card_of(
    model: str, params: Params, seed: int, data: Dataset, preparation: Preparation
) -> ModelCard:
    """Return the card of a model that was trained on this data."""
    return ModelCard(
        model=model,
        params=params,
        seed=seed,
        task=data.task,
        n_features=data.n_features,
        n_outputs=data.n_outputs,
        target_mean=preparation.target.mean,
        target_scale=preparation.target.scale,
        classes=preparation.target.classes,
        features=preparation.features,
        shape=data.shape,
    )


def build_final_model(
    card: ModelCard,
    weights: Mapping[str, torch.Tensor],
    preparation: Preparation,
    build: Build | None = None,
) -> FinalModel:
    """Build the module with these weights.

    `weights` by their names in the module; `build`: the callable of a custom model.
    """
    if not card.has_own_model:
        build = _built_in(card)
    elif build is None:
        name = card.model.rpartition(":")[2]
        raise UsageError(
            f"this model is built by {card.model}, and no file may choose the code that runs here: "
            f"import it and give it, load_model(..., build={name})"
        )
    try:
        module = build_module(build, card.params, _shapes(card), card.seed)
    except TunerError:
        raise
    except Exception as error:
        what = f"{type(error).__name__}: {reason_of(error)}"
        raise RunFailed(f"the model {card.model} cannot be built: {what}") from error
    _fill(module, weights)
    module.eval()
    return FinalModel(card=card, module=module, preparation=preparation)


def _built_in(card: ModelCard) -> Build:
    if card.model == "mlp":
        return mlp_module
    assert card.shape is not None, "load_card has checked it"
    return partial(cnn_module, shape=card.shape)


def _check_sizes(build: Build, card: ModelCard, weights: Mapping[str, torch.Tensor]) -> None:
    """Raise `RunFailed` if a callable would create larger tensors than the file holds.

    The params of a prepared file may ask for any size. Built on torch's meta device first, the
    model shows its sizes without memory; one that cannot be built there is not checked.
    """
    given = {"n_features": card.n_features, "n_outputs": card.n_outputs, **card.params}
    try:
        with torch.device("meta"), generators_kept(torch.device("cpu")):
            module = build(**arguments_of(build).of(given))
            shapes = {name: t.shape for name, t in _tensors_of(module).items()}
    except Exception:
        return
    if not any(torch.nn.parameter.is_lazy(parameter) for parameter in module.parameters()):
        _check_shapes(shapes, weights)


def encode_model(model: FinalModel) -> bytes:
    weights = _tensors_of(model.module)
    tensors = {name: t.detach().to("cpu", copy=True).contiguous() for name, t in weights.items()}
    tensors |= preparation_tensors(model.preparation)
    # One key: the library writes several in any order, and equal models are to be equal files.
    about = {
        "format": _FORMATS[-1],
        "card": asdict(model.card),
        "preparation": model.preparation.text(),
    }
    return save(tensors, {_ABOUT: json.dumps(about)})


def load_model(
    folder: str | Path, build: Build | None = None, *, device: str = "cpu", sha256: str = ""
) -> FinalModel:
    """Load the final model of `tuner train`: its folder, or the file `model.safetensors` itself.

    `build` is the callable of a custom model; `sha256`, if given, must be the file's. Raises
    `RunFailed` for a file that is damaged or not by tuner, `UsageError` without `build`.
    """
    path = _model_file(folder)
    try:
        with open_tensor_file(path, sha256) as file:
            metadata = file.metadata() or {}
            if metadata.get("format") == CHECKPOINT_FORMAT:
                raise RunFailed(
                    f"{printable(path)} holds the state of a function, not a model of the "
                    "built-in trainer: read it with tuner.load_state"
                )
            about = _about_of_file(metadata)
            card = load_card(about.get("card"))
            heads = {name: _head(file, name) for name in file.keys()}  # noqa: SIM118
            check_heads(card, heads)
            fitted, tensors = split_tensors(
                {name: file.get_tensor(name) for name in list(file.keys())}
            )
        preparation = load_stored_preparation(card, about.get("preparation"), fitted)
        _check_numbers(tensors)
    except FileNotFoundError:
        raise RunFailed(_why_missing(path)) from None
    except READING_FAILS as error:
        raise RunFailed(f"{printable(path)} cannot be read: {reason_of(error)}") from error
    if build is not None and card.has_own_model:
        _check_sizes(build, card, tensors)
    return build_final_model(card, tensors, preparation, build).to(device)


def _model_file(given: str | Path) -> Path:
    # Not `Path.is_dir`, which raises for a name that is too long.
    return Path(given) / MODEL_FILE if os.path.isdir(given) else Path(given)


def _why_missing(path: Path) -> str:
    if os.path.isdir(path.parent / CHECKPOINT_FOLDER):
        return (
            f"{printable(path.parent)} holds no model of the built-in trainer, but files that your "
            f"own code saved, in {CHECKPOINT_FOLDER}/: only that code can load them and predict"
        )
    if os.path.exists(path.parent / _CARD):
        return (
            f"{printable(path.parent)} holds no model: your own code was trained there and saved "
            "no checkpoint; a function saves one with trial.checkpoint.save, a command in the "
            "folder that TUNER_CHECKPOINT_DIR names"
        )
    return f"there is no file {printable(path)}; tuner train writes it"


def _about_of_file(metadata: Mapping[str, str]) -> Mapping[str, Any]:
    about = json.loads(metadata.get(_ABOUT, "{}"))
    if not isinstance(about, dict) or about.get("format") not in _FORMATS:
        raise ValueError("it is not a model of this version of tuner")
    return about


def _head(file: Any, name: str) -> TensorHead:
    part = file.get_slice(name)
    return TensorHead(dtype=part.get_dtype(), shape=tuple(part.get_shape()))


def _check_numbers(weights: Mapping[str, torch.Tensor]) -> None:
    for name, tensor in weights.items():
        if not is_usable(tensor):
            raise ValueError(f"{name} holds NaN")


def load_state(folder: str | Path) -> Any:
    """Load the best state that a function saved in its final training, with tensors on the CPU.

    Raises `RunFailed` for a file that is damaged or not by tuner.
    """
    path = _model_file(folder)
    if not os.path.exists(path):
        raise RunFailed(_why_missing(path))
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
    """Return a lane's weights by the module's names; the lean stack stores hidden ones (F, H)."""
    if model != "mlp" or params["precision"] != "float32":
        return {**weights, **buffers}
    return {name: _natural(name, weight) for name, weight in weights.items()}


def _natural(name: str, weight: torch.Tensor) -> torch.Tensor:
    if name.endswith(".bias"):
        return weight.flatten()
    return weight.T if name.startswith("hidden.") else weight


def _tensors_of(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return parameters, each once even if shared, and buffers, whether persistent or not."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


@torch.no_grad()
def _fill(module: torch.nn.Module, weights: Mapping[str, torch.Tensor]) -> None:
    """Raise `RunFailed` if names, shapes or dtypes differ from the module's."""
    tensors = _tensors_of(module)
    _check_shapes({name: tensor.shape for name, tensor in tensors.items()}, weights)
    for name, tensor in tensors.items():
        if tensor.dtype != weights[name].dtype:
            dtypes = f"{weights[name].dtype}, not {tensor.dtype}"
            raise RunFailed(f"these weights are of another model: {name} is {dtypes}")
        tensor.copy_(weights[name])


def _check_shapes(shapes: Mapping[str, torch.Size], weights: Mapping[str, torch.Tensor]) -> None:
    if shapes.keys() != weights.keys():
        name = printable(min(shapes.keys() ^ weights.keys()))
        raise RunFailed(f"these weights are of another model: {name} is only in one of the two")
    for name, shape in shapes.items():
        if shape != weights[name].shape:
            found = f"{tuple(weights[name].shape)}, not {tuple(shape)}"
            raise RunFailed(f"these weights are of another model: {name} has shape {found}")


def _shapes(card: ModelCard) -> Dataset:
    """Return empty data with the shapes that a callable may ask for."""
    x_NF = torch.zeros(2, card.n_features)
    split = Split(x_NF=x_NF, y_N=torch.zeros(2, dtype=torch.int64))
    n_classes = card.n_outputs if card.task is Task.CLASSIFICATION else 0
    return Dataset(
        task=card.task, n_classes=n_classes, target_scale=1.0, train=split, validation=split
    )
