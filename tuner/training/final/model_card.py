"""Facts in a model's file: checked field by field, and against its tensors."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from math import prod
from typing import Any

from tuner.study.trial import Params
from tuner.study_file.code_names import is_code_name
from tuner.study_file.kinds.trainer import MODELS
from tuner.study_file.params.trainer_params import (
    CNN_PARAMS,
    DEFAULT_CHANNELS,
    TRAINER_PARAMS,
    Task,
    channels_of_block,
)

PREPROCESSING = "preprocessing."  # prefix of tensors that belong to no weight
_OF_THE_FORWARD_PASS = ("n_layers", "width", "activation", "dropout", "precision")
_MAX_SEED = 2**64


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """Facts that build the model and give its outputs a meaning."""

    model: str  # "mlp", "cnn", or the callable of the user's own
    params: Params  # complete
    seed: int
    task: Task
    n_features: int
    n_outputs: int
    target_mean: float
    target_scale: float
    classes: tuple[str, ...]
    features: tuple[str, ...]
    shape: tuple[int, int, int] | None = None  # of images: channels, height, width

    @property
    def has_own_model(self) -> bool:
        """Return whether a callable of the user builds it."""
        return is_code_name(self.model)


@dataclass(frozen=True, kw_only=True)
class TensorHead:
    """A tensor's entry in the header."""

    dtype: str  # as safetensors writes it: F32
    shape: tuple[int, ...]


def load_card(stored: Any) -> ModelCard:
    """Return the card of a file; raises `ValueError` or `LookupError` if it describes no model."""
    known = {field.name for field in fields(ModelCard)}
    if isinstance(stored, dict):
        stored = {"shape": None, **stored}  # the first format has none
    if not isinstance(stored, dict) or stored.keys() != known:
        raise ValueError("its card lacks fields or has others")
    for name, is_good in _CHECKS.items():
        if not is_good(stored[name]):
            raise ValueError(f"its card has a wrong {name}")
    task = Task(stored["task"])
    classes, features = tuple(stored["classes"]), tuple(stored["features"])
    n_outputs, n_features = stored["n_outputs"], stored["n_features"]
    if n_outputs != (len(classes) if task is Task.CLASSIFICATION else 1):
        raise ValueError("its card names other classes than the model has outputs")
    if features and len(features) != n_features:
        raise ValueError("its card names other features than the model takes")
    shape = None if stored["shape"] is None else tuple(stored["shape"])
    if shape is not None and prod(shape) != n_features:
        raise ValueError("its card names other features than its images have pixels")
    card = ModelCard(
        **{**stored, "task": task, "classes": classes, "features": features, "shape": shape}
    )
    if not card.has_own_model and (card.model not in MODELS or not _has_shape(card)):
        raise ValueError("its card names an unknown model")
    _check_params(card)
    return card


def _has_shape(card: ModelCard) -> bool:
    return card.model != "cnn" or card.shape is not None


def check_heads(card: ModelCard, heads: Mapping[str, TensorHead]) -> None:
    """Raise `ValueError` or `LookupError` if the tensors do not belong to the card's model."""
    if card.has_own_model:
        return  # only its callable knows
    expected = _mlp_shapes(card) if card.model == "mlp" else _cnn_shapes(card)
    weights = {name for name in heads if not name.startswith(PREPROCESSING)}
    if weights != expected.keys():
        name = min(weights ^ expected.keys())
        raise ValueError(f"it is of another model: {name} is only in one of the two")
    for name, shape in expected.items():
        _check_head(name, heads[name], TensorHead(dtype="F32", shape=shape))


def _check_head(name: str, found: TensorHead, wanted: TensorHead) -> None:
    if found != wanted:
        raise ValueError(
            f"it is of another model: {name} is {found.dtype} of shape {found.shape}, "
            f"not {wanted.dtype} of {wanted.shape}"
        )


def _mlp_shapes(card: ModelCard) -> dict[str, tuple[int, ...]]:
    n_layers, width = card.params["n_layers"], card.params["width"]
    assert isinstance(n_layers, int)
    assert isinstance(width, int)
    shapes: dict[str, tuple[int, ...]] = {}
    n_in = card.n_features
    for i in range(n_layers):
        shapes |= {f"hidden.{i}.weight": (width, n_in), f"hidden.{i}.bias": (width,)}
        n_in = width
    return {**shapes, "output.weight": (card.n_outputs, n_in), "output.bias": (card.n_outputs,)}


def _cnn_shapes(card: ModelCard) -> dict[str, tuple[int, ...]]:
    """Return the shapes without building a module, whose size the file's params choose."""
    channels, n_layers = card.params.get("channels", DEFAULT_CHANNELS), card.params["n_layers"]
    width = card.params["width"]
    assert isinstance(channels, int)
    assert isinstance(n_layers, int)
    assert isinstance(width, int)
    assert card.shape is not None
    shapes: dict[str, tuple[int, ...]] = {}
    n_in, *sides = card.shape
    for i in range(n_layers):
        n_out = channels_of_block(channels, i)
        shapes |= {f"conv.{i}.weight": (n_out, n_in, 3, 3), f"conv.{i}.bias": (n_out,)}
        n_in = n_out
        sides = [side // 2 for side in sides] if min(sides) >= 2 else sides
    shapes |= {"hidden.weight": (width, n_in * prod(sides)), "hidden.bias": (width,)}
    return {**shapes, "output.weight": (card.n_outputs, width), "output.bias": (card.n_outputs,)}


def _check_params(card: ModelCard) -> None:
    """Check the trainer's params that shape the model by the rules of the study file."""
    names = ("precision",) if card.has_own_model else _OF_THE_FORWARD_PASS
    if card.model == "cnn" and "channels" in card.params:
        names = (*names, "channels")
    for name in names:
        param, value = {**TRAINER_PARAMS, **CNN_PARAMS}[name], card.params[name]
        if param.kind == "choice":
            is_good = value in param.choices
        else:
            is_kind = _is_count(value) if param.kind == "int" else _is_finite(value)
            is_good = is_kind and isinstance(value, int | float) and value in param.domain
        if not is_good:
            raise ValueError(f"its card has a wrong param {name}")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MAX_SEED


def _is_finite(value: object) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and abs(value) < math.inf  # type: ignore[arg-type]


def _is_scale(value: object) -> bool:
    return _is_finite(value) and value > 0  # type: ignore[operator]


def _is_shape(value: object) -> bool:
    if value is None:
        return True
    is_three = isinstance(value, list) and len(value) == 3
    return is_three and all(_is_count(side) and side > 0 for side in value)  # type: ignore[attr-defined]


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _are_params(value: object) -> bool:
    return isinstance(value, dict) and all(
        single is None or isinstance(single, str | bool) or _is_finite(single)
        for single in value.values()
    )


_CHECKS: Mapping[str, Callable[[object], bool]] = {
    "model": lambda value: isinstance(value, str),
    "params": _are_params,
    "seed": _is_count,
    "task": lambda value: isinstance(value, str),
    "n_features": _is_count,
    "n_outputs": _is_count,
    "target_mean": _is_finite,
    "target_scale": _is_scale,
    "classes": _are_texts,
    "features": _are_texts,
    "shape": _is_shape,
}
