"""The prepared arrays as tensors: read once per worker, shared between workers by the kernel.

`load_dataset` opens only the training and validation splits. Shapes: N rows, F features.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from tuner.study_file.params.trainer_params import Task


@dataclass(frozen=True, kw_only=True)
class Split:
    x_NF: torch.Tensor  # standardized features
    y_N: torch.Tensor  # classes (int64) or the standardized target

    @property
    def n_rows(self) -> int:
        return len(self.x_NF)


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """The part of a data set that the search uses, on one device."""

    task: Task
    n_classes: int  # 0 for regression
    target_scale: float  # one standardized unit of the target in its own unit
    train: Split
    validation: Split

    @property
    def n_features(self) -> int:
        return self.train.x_NF.shape[1]

    @property
    def n_outputs(self) -> int:
        return self.n_classes if self.task is Task.CLASSIFICATION else 1

    def to(self, device: str) -> "Dataset":
        """Copy the data set to another device."""
        return Dataset(
            task=self.task,
            n_classes=self.n_classes,
            target_scale=self.target_scale,
            train=_moved(self.train, device),
            validation=_moved(self.validation, device),
        )


def load_dataset(folder: Path, device: str) -> Dataset:
    """Open a prepared folder, without the test split."""
    meta = json.loads((folder / "meta.json").read_text())
    data = Dataset(
        task=Task(meta["task"]),
        n_classes=meta["n_classes"],
        target_scale=meta["target_scale"],
        train=open_split(folder, "train"),
        validation=open_split(folder, "validation"),
    )
    return data.to(device)


def open_split(folder: Path, name: str) -> Split:
    """Open one of train, validation and test."""
    return Split(x_NF=_open(folder / f"{name}_x.npy"), y_N=_open(folder / f"{name}_y.npy"))


def open_test_split(folder: Path) -> Split:
    """Open the rows that no search has seen, for one evaluation after the last decision."""
    return open_split(folder, "test")


def with_validation(data: Dataset) -> Dataset:
    """Merge both splits for training; the validation split stays for reports, not for selection."""
    both = Split(
        x_NF=torch.cat([data.train.x_NF, data.validation.x_NF]),
        y_N=torch.cat([data.train.y_N, data.validation.y_N]),
    )
    return replace(data, train=both)


def _open(path: Path) -> torch.Tensor:
    # Mapped privately: pages are shared until written, and nothing writes to them. (A read-only
    # mapping does the same, but torch warns of every array that it could not write to.)
    return torch.from_numpy(np.load(path, mmap_mode="c", allow_pickle=False))


def _moved(split: Split, device: str) -> Split:
    return Split(x_NF=split.x_NF.to(device), y_N=split.y_N.to(device))
