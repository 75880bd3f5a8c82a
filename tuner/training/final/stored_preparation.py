"""The preparation in the file of a model: checked before it is used.

The file is data from anywhere: every array has its type and its size, and every number is finite.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tuner.study_file.data.sources import ColumnType
from tuner.study_file.params.trainer_params import Task
from tuner.training.data.numbers import Numbers
from tuner.training.data.one_hot import OneHot
from tuner.training.data.preparation import (
    InputColumn,
    Pixels,
    Preparation,
    Target,
    build_preparation,
)
from tuner.training.data.scaling import Standard
from tuner.training.final.model_card import PREPROCESSING, ModelCard

_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Size = Annotated[int, Field(gt=0, le=2**20)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Column(_Part):
    name: str
    kind: Annotated[ColumnType, Field(strict=False)]
    date_format: Literal["", "%Y-%m-%d", "%Y/%m/%d", "%Y%m%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y"]


class _Form(_Part):
    delimiter: str
    encoding: str
    decimal: Literal[".", ","]


class _OneHotColumn(_Part):
    kept: list[str]
    has_rare: bool
    has_missing: bool


class _Numbers(_Part):
    scaling: Literal["standard", "robust", "quantile", "none"]
    first_days: dict[str, _Finite]


class _Text(_Part):
    """The part of a preparation that is no array."""

    columns: list[_Column]
    numbers: _Numbers | None
    one_hot: list[_OneHotColumn]
    shape: Annotated[list[_Size], Field(min_length=3, max_length=3)] | None
    task: Annotated[Task, Field(strict=False)]
    target: str
    target_mean: _Finite
    target_scale: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    classes: list[str]
    features: list[str]
    form: _Form


_MEAN, _SCALE = "mean", "scale"  # all that the first format stored


def preparation_tensors(preparation: Preparation) -> dict[str, torch.Tensor]:
    """Return the fitted arrays under their names in the file."""
    arrays = preparation.arrays().items()
    return {f"{PREPROCESSING}{name}": torch.from_numpy(array) for name, array in arrays}


def split_tensors(
    tensors: Mapping[str, torch.Tensor],
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Return the tensors of the preparation, without their prefix, and the weights."""
    fitted = {
        name.removeprefix(PREPROCESSING): tensor
        for name, tensor in tensors.items()
        if name.startswith(PREPROCESSING)
    }
    return fitted, {n: t for n, t in tensors.items() if not n.startswith(PREPROCESSING)}


def load_stored_preparation(
    card: ModelCard, text: Any, tensors: Mapping[str, torch.Tensor]
) -> Preparation:
    """Return the preparation of a file; raises `ValueError` or `LookupError` for a wrong one."""
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    for name, array in arrays.items():
        if array.dtype not in (np.float64, np.uint8):
            raise ValueError(f"its preparation has {array.dtype} in {name}")
        if not np.isfinite(array).all():
            raise ValueError("its preparation holds NaN or infinity")
    if text is None:
        return _first_format(card, arrays)
    try:
        checked = _Text.model_validate(text)
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"])) or "form"
        raise ValueError(f"its preparation has a wrong {place}") from error
    try:
        preparation = build_preparation(checked.model_dump(mode="json"), arrays)
    except TypeError as error:
        raise ValueError("its preparation has other arrays than its text names") from error
    _check(card, preparation)
    return preparation


def _first_format(card: ModelCard, arrays: Mapping[str, Any]) -> Preparation:
    """Return the preparation of a file that stored mean and scale of its features alone."""
    names = card.features or tuple(f"x{number}" for number in range(card.n_features))
    scaling = Standard(mean_F=arrays[_MEAN], scale_F=arrays[_SCALE])
    preparation = Preparation(
        columns=tuple(InputColumn(name=name, kind=ColumnType.NUMBER) for name in names),
        numbers=Numbers(
            first_days={},
            fill_F=np.zeros(card.n_features),
            has_indicator_F=np.zeros(card.n_features, dtype=bool),
            scaling=scaling,
        ),
        one_hot=OneHot(columns=()),
        pixels=None,
        target=Target(
            task=card.task,
            mean=card.target_mean,
            scale=card.target_scale,
            classes=card.classes if card.task is Task.CLASSIFICATION else (),
        ),
        features=card.features,
    )
    _check(card, preparation)
    return preparation


def _check(card: ModelCard, preparation: Preparation) -> None:
    """Check that all parts belong to the card, and have the sizes that belong together."""
    target = preparation.target
    facts = (target.task, target.mean, target.scale, target.classes, preparation.features)
    if facts != (card.task, card.target_mean, card.target_scale, card.classes, card.features):
        raise ValueError("its preparation is not the one of its card")
    _check_columns(preparation)
    if preparation.pixels is not None:
        _check_pixels(preparation.pixels)
    if preparation.n_features != card.n_features:
        raise ValueError("its preparation gives other features than the model takes")


def _check_columns(preparation: Preparation) -> None:
    kinds = [column.kind for column in preparation.columns]
    if len({column.name for column in preparation.columns}) != len(kinds):
        raise ValueError("its preparation names a column twice")
    if len(preparation.one_hot.columns) != kinds.count(ColumnType.CATEGORY):
        raise ValueError("its preparation has other categories than columns")
    dates = {c.name for c in preparation.columns if c.kind is ColumnType.DATE}
    n_numbers = len(kinds) - kinds.count(ColumnType.CATEGORY) + 3 * len(dates)
    numbers = preparation.numbers
    if (numbers is None) != (n_numbers == 0):
        raise ValueError("its preparation has other numbers than columns")
    if numbers is not None:
        if set(numbers.first_days) != dates:
            raise ValueError("its preparation has other dates than columns")
        _check_numbers(numbers, n_numbers)


def _check_numbers(numbers: Numbers, n_numbers: int) -> None:
    arrays = [numbers.fill_F, numbers.has_indicator_F]
    for name, array in numbers.scaling.arrays().items():
        arrays.append(array[0] if array.ndim == 2 and len(array) else array)
        if name in ("scale_F", "range_F") and not (array > 0).all():
            raise ValueError("its preparation holds a scale that is not above 0")
    if any(array.shape != (n_numbers,) for array in arrays):
        raise ValueError("its preparation has other numbers than columns")


def _check_pixels(pixels: Pixels) -> None:
    for array in (pixels.mean_C, pixels.scale_C):
        if array.shape != pixels.shape[:1]:
            raise ValueError("its preparation has other channels than its images")
    if not (pixels.scale_C > 0).all():
        raise ValueError("its preparation holds a scale that is not above 0")
