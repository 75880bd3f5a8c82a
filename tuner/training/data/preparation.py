"""The fitted transforms from a table to the model's inputs and target, and back.

A preparation stores arrays and text, never code: `preparation.safetensors` and `preparation.json`
in the prepared folder, and the same in the file of a model. Shapes: N rows, F features, C channels,
H height, W width.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from tuner.study_file.data.prepare import PrepareRule
from tuner.study_file.data.sources import ColumnType
from tuner.study_file.params.trainer_params import Task
from tuner.training.data.files import CSV_FORM
from tuner.training.data.numbers import Numbers, load_numbers
from tuner.training.data.one_hot import OneHot, load_one_hot
from tuner.training.data.scaling import Standard
from tuner.training.data.table import Array, Column, Table
from tuner.training.folders import write_new

_TEXT, _ARRAYS = "preparation.json", "preparation.safetensors"
_NUMBERS, _PIXELS = "numbers.", "pixels."


@dataclass(frozen=True, kw_only=True)
class Target:
    """The target of the model: class numbers, or a standardized number."""

    task: Task
    name: str = "target"
    mean: float = 0.0  # of a number, in its own unit
    scale: float = 1.0  # one standardized unit in the target's own unit
    classes: tuple[str, ...] = ()  # names by number

    @classmethod
    def fit(cls, target: Column, task: Task, rows: Array) -> "Target":
        if task is Task.CLASSIFICATION:
            return cls(task=task, name=target.name, classes=target.categories)
        fitted = Standard.fit(target.values_N[rows].astype(np.float64)[:, None])
        mean, scale = float(fitted.mean_F[0]), float(fitted.scale_F[0])
        return cls(task=task, name=target.name, mean=mean, scale=scale)

    def apply(self, y_N: Array) -> Array:
        """Return class numbers (int64), or standardized numbers (float32)."""
        if self.task is Task.CLASSIFICATION:
            return y_N.astype(np.int64)
        return ((y_N.astype(np.float64) - self.mean) / self.scale).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class Pixels:
    """Images of one shape as bytes; the model gets (byte - mean) / scale of each channel."""

    shape: tuple[int, int, int]  # C, H, W
    mean_C: Array  # float64, over all pixels of the training rows
    scale_C: Array

    @classmethod
    def fit(cls, pixels_NCHW: Array) -> "Pixels":
        n_channels = pixels_NCHW.shape[1]
        counts_CV = np.zeros((n_channels, 256))
        for image_CHW in pixels_NCHW:  # one at a time: counting takes eight bytes for each pixel
            for channel, pixels_HW in enumerate(image_CHW):
                counts_CV[channel] += np.bincount(pixels_HW.ravel(), minlength=256)
        values_V = np.arange(256.0)
        n_pixels = counts_CV[0].sum()
        mean_C = counts_CV @ values_V / n_pixels
        variance_C = (counts_CV * (values_V - mean_C[:, None]) ** 2).sum(1) / n_pixels
        scale_C = np.where(variance_C > 0, np.sqrt(variance_C), 1.0)
        return cls(shape=pixels_NCHW.shape[1:], mean_C=mean_C, scale_C=scale_C)


@dataclass(frozen=True, kw_only=True)
class InputColumn:
    """A column that rows must have."""

    name: str
    kind: ColumnType
    date_format: str = ""  # of dates as text; empty for ISO dates


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """Inputs come from columns, numeric ones first, or from the pixels of images."""

    columns: tuple[InputColumn, ...]  # in the order of the data
    numbers: Numbers | None  # None without numeric columns
    one_hot: OneHot
    pixels: Pixels | None
    target: Target
    features: tuple[str, ...]  # the names of the inputs
    form: Mapping[str, str] = field(default_factory=lambda: dict(CSV_FORM))  # of CSV files

    @classmethod
    def fit(cls, table: Table, rows: Array, rule: PrepareRule) -> "Preparation":
        """Fit on the training rows; raises `BadData`."""
        target = Target.fit(table.target, table.task, rows)
        if table.pixels_NCHW is not None:
            return cls(
                columns=(),
                numbers=None,
                one_hot=OneHot(columns=()),
                pixels=Pixels.fit(table.pixels_NCHW[rows]),
                target=target,
                features=(),
            )
        numeric, categories = by_kind([column.take(rows) for column in table.columns])
        numbers = Numbers.fit(numeric, rule) if numeric else None
        one_hot = OneHot.fit(categories, rule.max_categories)
        names = (numbers.names(numeric) if numbers else []) + one_hot.names(categories)
        return cls(
            columns=tuple(
                InputColumn(name=c.name, kind=c.kind, date_format=c.date_format)
                for c in table.columns
            ),
            numbers=numbers,
            one_hot=one_hot,
            pixels=None,
            target=target,
            features=tuple(names),
        )

    @property
    def n_features(self) -> int:
        if self.pixels is not None:
            return int(np.prod(self.pixels.shape))
        n_numbers = self.numbers.n_features if self.numbers else 0
        return n_numbers + self.one_hot.n_features

    def inputs(self, columns: Sequence[Column]) -> Array:
        """Return the model's inputs for typed columns, (N, F) float32."""
        numeric, categories = by_kind(columns)
        out_NF = np.zeros((len(columns[0].values_N), self.n_features), dtype=np.float32)
        n_numbers = 0
        if self.numbers is not None:
            n_numbers = self.numbers.n_features
            self.numbers.apply(numeric, out_NF[:, :n_numbers])
        self.one_hot.apply(categories, out_NF[:, n_numbers:])
        return out_NF

    def arrays(self) -> dict[str, Array]:
        """Return all fitted arrays by name."""
        found: dict[str, Array] = {}
        if self.numbers is not None:
            found |= {f"{_NUMBERS}{name}": a for name, a in self.numbers.arrays().items()}
        if self.pixels is not None:
            found |= {
                f"{_PIXELS}mean_C": self.pixels.mean_C,
                f"{_PIXELS}scale_C": self.pixels.scale_C,
            }
        return {name: np.ascontiguousarray(array) for name, array in found.items()}

    def text(self) -> dict[str, Any]:
        """Return the rest of its state, as JSON values."""
        return {
            "columns": [
                {"name": c.name, "kind": c.kind.value, "date_format": c.date_format}
                for c in self.columns
            ],
            "form": dict(self.form),
            "numbers": self.numbers.text() if self.numbers else None,
            "one_hot": self.one_hot.text(),
            "shape": list(self.pixels.shape) if self.pixels else None,
            "task": self.target.task.value,
            "target": self.target.name,
            "target_mean": self.target.mean,
            "target_scale": self.target.scale,
            "classes": list(self.target.classes),
            "features": list(self.features),
        }

    def save(self, folder: Path) -> None:
        """Write it to a new folder."""
        write_new(folder / _ARRAYS, save_arrays(self.arrays()))
        write_new(folder / _TEXT, json.dumps(self.text(), indent=2).encode())


def load_preparation(folder: Path) -> Preparation:
    """Load a preparation that `Preparation.save` wrote."""
    text: Mapping[str, Any] = json.loads((folder / _TEXT).read_text())
    return build_preparation(text, load_arrays((folder / _ARRAYS).read_bytes()))


def build_preparation(text: Mapping[str, Any], arrays: Mapping[str, Array]) -> Preparation:
    """Build what `Preparation.text` and `Preparation.arrays` gave.

    Raises `ValueError`, `LookupError` or `TypeError` for anything else.
    """
    of_numbers = {n.removeprefix(_NUMBERS): a for n, a in arrays.items() if n.startswith(_NUMBERS)}
    pixels = None
    if text["shape"] is not None:
        pixels = Pixels(
            shape=tuple(text["shape"]),
            mean_C=arrays[f"{_PIXELS}mean_C"],
            scale_C=arrays[f"{_PIXELS}scale_C"],
        )
    return Preparation(
        columns=tuple(
            InputColumn(
                name=column["name"],
                kind=ColumnType(column["kind"]),
                date_format=column["date_format"],
            )
            for column in text["columns"]
        ),
        numbers=load_numbers(text["numbers"], of_numbers) if text["numbers"] else None,
        one_hot=load_one_hot(text["one_hot"]),
        pixels=pixels,
        target=Target(
            task=Task(text["task"]),
            name=text["target"],
            mean=text["target_mean"],
            scale=text["target_scale"],
            classes=tuple(text["classes"]),
        ),
        features=tuple(text["features"]),
        form=dict(text["form"]),
    )


def by_kind(columns: Sequence[Column]) -> tuple[list[Column], list[Column]]:
    """Return the numeric columns and those of categories."""
    numeric = [column for column in columns if column.kind is not ColumnType.CATEGORY]
    return numeric, [column for column in columns if column.kind is ColumnType.CATEGORY]
