"""The prepared arrays as tensors: read once per worker, shared between workers by the kernel.

`load_dataset` opens only the training and validation splits. Shapes: N rows, F features.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from tuner.study_file.params.trainer_params import Task
from tuner.training.data.preparation import Pixels, load_preparation


@dataclass(frozen=True, kw_only=True)
class Split:
    x_NF: torch.Tensor  # prepared features
    y_N: torch.Tensor  # classes (int64) or the standardized target
    weight_N: torch.Tensor | None = None  # of rows in the training loss, mean 1; None: all alike

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
    shape: tuple[int, int, int] | None = None  # of images: channels, height, width

    @property
    def n_features(self) -> int:
        return self.train.x_NF.shape[1]

    @property
    def n_outputs(self) -> int:
        return self.n_classes if self.task is Task.CLASSIFICATION else 1

    def to(self, device: str) -> "Dataset":
        """Copy the data set to another device."""
        train, validation = _moved(self.train, device), _moved(self.validation, device)
        return replace(self, train=train, validation=validation)


def load_dataset(folder: Path, device: str) -> Dataset:
    """Open a prepared folder, without the test split."""
    meta = json.loads((folder / "meta.json").read_text())
    data = Dataset(
        task=Task(meta["task"]),
        n_classes=meta["n_classes"],
        target_scale=meta["target_scale"],
        train=open_split(folder, "train"),
        validation=open_split(folder, "validation"),
        shape=tuple(meta["shape"]) if meta["shape"] else None,
    )
    return data.to(device)


def open_split(folder: Path, name: str) -> Split:
    """Open one of train, validation and test."""
    x_NF = _open(folder / f"{name}_x.npy")
    if x_NF.dtype is torch.uint8:
        x_NF = _scaled(x_NF, folder)
    weight = folder / f"{name}_weight.npy"
    weight_N = _open(weight) if weight.exists() else None
    return Split(x_NF=x_NF, y_N=_open(folder / f"{name}_y.npy"), weight_N=weight_N)


def open_test_split(folder: Path) -> Split:
    """Open the rows that no search has seen, for one evaluation after the last decision."""
    return open_split(folder, "test")


def with_validation(data: Dataset) -> Dataset:
    """Merge both splits for training; the validation split stays for reports, not for selection."""
    weight_N = data.train.weight_N
    if weight_N is not None:
        assert data.validation.weight_N is not None
        weight_N = torch.cat([weight_N, data.validation.weight_N])
    both = Split(
        x_NF=torch.cat([data.train.x_NF, data.validation.x_NF]),
        y_N=torch.cat([data.train.y_N, data.validation.y_N]),
        weight_N=weight_N,
    )
    return replace(data, train=both)


def _scaled(pixels_NCHW: torch.Tensor, folder: Path) -> torch.Tensor:
    """Return the inputs of images, (N, C * H * W)."""
    pixels = load_preparation(folder).pixels
    assert pixels is not None, "bytes are pixels"
    return pixels_to_inputs(pixels, pixels_NCHW)


def pixels_to_inputs(pixels: Pixels, pixels_NCHW: torch.Tensor) -> torch.Tensor:
    """Return the inputs of images, (N, C * H * W) float32."""
    mean_C11 = torch.from_numpy(pixels.mean_C).float()[:, None, None]
    scale_C11 = torch.from_numpy(pixels.scale_C).float()[:, None, None]
    return ((pixels_NCHW - mean_C11) / scale_C11).flatten(1)


def _open(path: Path) -> torch.Tensor:
    # Mapped privately: pages are shared until written, and nothing writes to them. (A read-only
    # mapping does the same, but torch warns of every array that it could not write to.)
    return torch.from_numpy(np.load(path, mmap_mode="c", allow_pickle=False))


def _moved(split: Split, device: str) -> Split:
    weight_N = split.weight_N if split.weight_N is None else split.weight_N.to(device)
    return Split(x_NF=split.x_NF.to(device), y_N=split.y_N.to(device), weight_N=weight_N)
