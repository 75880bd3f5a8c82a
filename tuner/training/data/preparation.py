"""The fitted transforms from a table to the model's inputs and target, and back.

A step stores arrays and text, never code: `preparation.safetensors` and `preparation.json` in the
prepared folder. Shapes: N rows, F features.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from tuner.study_file.params.trainer_params import Task
from tuner.training.data.table import Array, Table
from tuner.training.folders import write_new

_TEXT, _ARRAYS = "preparation.json", "preparation.safetensors"


class Step(Protocol):
    """One transform of the inputs, fitted on the training rows."""

    kind: ClassVar[str]  # its name in the file

    def apply(self, x_NF: Array) -> Array:
        """Return the rows after this step."""

    def arrays(self) -> Mapping[str, Array]:
        """Return the fitted arrays."""


@dataclass(frozen=True, kw_only=True)
class Standardize:
    """Scales features to mean 0 and deviation 1 over the training rows."""

    kind: ClassVar[str] = "standardize"

    mean_F: Array  # float64
    scale_F: Array  # float64

    @classmethod
    def fit(cls, x_NF: Array) -> "Standardize":
        """Fit on training rows; a constant feature keeps its scale."""
        mean_F, scale_F = x_NF.mean(0), x_NF.std(0)
        # Rounding may leave a constant feature a tiny scale.
        is_varied = scale_F > 1e-12 * np.maximum(1, np.abs(mean_F))
        return cls(mean_F=mean_F, scale_F=np.where(is_varied, scale_F, 1.0))

    def apply(self, x_NF: Array) -> Array:
        return (x_NF - self.mean_F) / self.scale_F

    def arrays(self) -> Mapping[str, Array]:
        return {"mean_F": self.mean_F, "scale_F": self.scale_F}


_STEPS: Mapping[str, type[Standardize]] = {step.kind: step for step in (Standardize,)}


@dataclass(frozen=True, kw_only=True)
class Target:
    """The target of the model: class numbers, or a standardized number."""

    task: Task
    mean: float = 0.0  # of a number, in its own unit
    scale: float = 1.0  # one standardized unit in the target's own unit
    classes: tuple[str, ...] = ()  # names by number

    @classmethod
    def fit(cls, table: Table, rows: Array) -> "Target":
        if table.task is Task.CLASSIFICATION:
            return cls(task=table.task, classes=table.target.categories)
        fitted = Standardize.fit(table.target.values_N[rows].astype(np.float64)[:, None])
        return cls(task=table.task, mean=float(fitted.mean_F[0]), scale=float(fitted.scale_F[0]))

    def apply(self, y_N: Array) -> Array:
        """Return class numbers (int64), or standardized numbers (float32)."""
        if self.task is Task.CLASSIFICATION:
            return y_N.astype(np.int64)
        return ((y_N.astype(np.float64) - self.mean) / self.scale).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class Preparation:
    steps: Sequence[Step]
    target: Target
    features: tuple[str, ...]  # the names of the columns

    @classmethod
    def fit(cls, table: Table, rows: Array) -> "Preparation":
        x_NF = table.numbers_NF().astype(np.float64)
        return cls(
            steps=(Standardize.fit(x_NF[rows]),),
            target=Target.fit(table, rows),
            features=tuple(column.name for column in table.columns),
        )

    def inputs(self, table: Table) -> Array:
        """Return the model's inputs of all rows, (N, F) float32."""
        x_NF = table.numbers_NF().astype(np.float64)
        for step in self.steps:
            x_NF = step.apply(x_NF)
        return x_NF.astype(np.float32)

    @property
    def standardize(self) -> Standardize:
        """Return the step that a model's file stores."""
        return next(step for step in self.steps if isinstance(step, Standardize))

    def save(self, folder: Path) -> None:
        """Write it to a new folder."""
        text = {
            "steps": [step.kind for step in self.steps],
            "task": self.target.task.value,
            "target_mean": self.target.mean,
            "target_scale": self.target.scale,
            "classes": list(self.target.classes),
            "features": list(self.features),
        }
        arrays = {
            f"{place}.{name}": np.ascontiguousarray(array)
            for place, step in enumerate(self.steps)
            for name, array in step.arrays().items()
        }
        write_new(folder / _ARRAYS, save_arrays(arrays))
        write_new(folder / _TEXT, json.dumps(text, indent=2).encode())


def load_preparation(folder: Path) -> Preparation:
    """Load a preparation that `Preparation.save` wrote."""
    text: Mapping[str, Any] = json.loads((folder / _TEXT).read_text())
    arrays = load_arrays((folder / _ARRAYS).read_bytes())
    steps = [
        _STEPS[kind](**{n.split(".")[1]: a for n, a in arrays.items() if n.startswith(f"{place}.")})
        for place, kind in enumerate(text["steps"])
    ]
    return Preparation(
        steps=steps,
        target=Target(
            task=Task(text["task"]),
            mean=text["target_mean"],
            scale=text["target_scale"],
            classes=tuple(text["classes"]),
        ),
        features=tuple(text["features"]),
    )
