"""What the final training alone opens: the test split, and how features were standardized.

Shapes: N rows, F features.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tuner.training.data.tensors import Split, TrainingData, open_split


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """From the source's units to the model's, and back. Fitted on the training rows alone."""

    mean_F: torch.Tensor  # float64
    scale_F: torch.Tensor  # float64
    target_mean: float
    target_scale: float
    classes: tuple[str, ...]  # their names, by number; empty for regression
    features: tuple[str, ...]  # the names of the columns


def load_preprocessing(folder: Path) -> Preprocessing:
    """As the preparation fitted it."""
    meta = json.loads((folder / "meta.json").read_text())
    return Preprocessing(
        mean_F=torch.from_numpy(_open(folder / "mean.npy")),
        scale_F=torch.from_numpy(_open(folder / "scale.npy")),
        target_mean=meta["target_mean"],
        target_scale=meta["target_scale"],
        classes=tuple(meta["classes"]),
        features=tuple(meta["features"]),
    )


def open_test_split(folder: Path) -> Split:
    """The rows that no search has seen: for one look, after the last decision."""
    return open_split(folder, "test")


def with_validation(data: TrainingData) -> TrainingData:
    """Train on both; the validation split is still there to be reported, not to be selected by."""
    both = Split(
        x_NF=torch.cat([data.train.x_NF, data.validation.x_NF]),
        y_N=torch.cat([data.train.y_N, data.validation.y_N]),
    )
    return replace(data, train=both)


def _open(path: Path) -> NDArray[np.float64]:
    return np.asarray(np.load(path, allow_pickle=False), dtype=np.float64)
