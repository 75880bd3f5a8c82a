"""The prepared arrays as tensors: read once per worker, shared between workers by the kernel.

`load_dataset` opens only the training and validation splits. Shapes: N rows, F features.
"""

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from tuner.study_file.params.trainer_params import Task
from tuner.training.data.preparation import Pixels, load_preparation


@dataclass(frozen=True, kw_only=True)
class ByteScale:
    """The scale of images that are stored as bytes."""

    mean_F: torch.Tensor  # float32
    scale_F: torch.Tensor

    def to(self, device: str) -> "ByteScale":
        return ByteScale(mean_F=self.mean_F.to(device), scale_F=self.scale_F.to(device))


@dataclass(frozen=True, kw_only=True)
class Split:
    x_NF: torch.Tensor  # prepared features, or bytes that `byte_scale` turns into features
    y_N: torch.Tensor  # classes (int64) or the standardized target
    weight_N: torch.Tensor | None = None  # of rows in the training loss, mean 1; None: all alike
    byte_scale: ByteScale | None = None

    @property
    def n_rows(self) -> int:
        return len(self.x_NF)

    @property
    def like(self) -> torch.Tensor:
        """Return an empty tensor with the device and the type of the features."""
        dtype = torch.float32 if self.byte_scale else self.x_NF.dtype
        return torch.empty(0, dtype=dtype, device=self.x_NF.device)

    def inputs(self, index: torch.Tensor | slice = slice(None)) -> torch.Tensor:
        """Return the features (..., F) of the rows at an index of any shape."""
        x_NF = self.x_NF[index]
        if self.byte_scale is None:
            return x_NF
        return (x_NF - self.byte_scale.mean_F).div_(self.byte_scale.scale_F)


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """The part of a data set that the search uses, on one device."""

    task: Task
    n_classes: int  # 0 for regression
    target_scale: float  # one standardized unit of the target in its own unit
    train: Split
    validation: Split
    shape: tuple[int, int, int] | None = None  # of images: channels, height, width
    augment: tuple[str, ...] = ()  # random changes of training images

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


def load_dataset(folder: Path, device: str, augment: Sequence[str] = ()) -> Dataset:
    """Open a prepared folder, without the test split."""
    with suppress(OSError):  # `remove_unused` keeps it; another user's folder cannot be touched
        os.utime(folder)
    meta = json.loads((folder / "meta.json").read_text())
    data = Dataset(
        task=Task(meta["task"]),
        n_classes=meta["n_classes"],
        target_scale=meta["target_scale"],
        train=open_split(folder, "train"),
        validation=open_split(folder, "validation"),
        shape=tuple(meta["shape"]) if meta["shape"] else None,
        augment=tuple(augment),
    )
    return data.to(device)


def open_split(folder: Path, name: str) -> Split:
    """Open one of train, validation and test."""
    x = _open(folder / f"{name}_x.npy")
    pixels = load_preparation(folder).pixels if x.dtype is torch.uint8 else None
    weight = folder / f"{name}_weight.npy"
    return Split(
        x_NF=x.flatten(1),
        y_N=_open(folder / f"{name}_y.npy"),
        weight_N=_open(weight) if weight.exists() else None,
        byte_scale=byte_scale_of(pixels) if pixels else None,
    )


def byte_scale_of(pixels: Pixels) -> ByteScale:
    """Return the scale of each byte of an image."""
    _, height, width = pixels.shape
    n_pixels = height * width
    mean_C, scale_C = torch.from_numpy(pixels.mean_C), torch.from_numpy(pixels.scale_C)
    return ByteScale(
        mean_F=mean_C.float().repeat_interleave(n_pixels),
        scale_F=scale_C.float().repeat_interleave(n_pixels),
    )


def open_test_split(folder: Path) -> Split:
    """Open the rows that no search has seen, for one evaluation after the last decision."""
    return open_split(folder, "test")


def with_validation(data: Dataset) -> Dataset:
    """Merge both splits for training; the validation split stays for reports, not for selection."""
    weight_N = data.train.weight_N
    if weight_N is not None:
        assert data.validation.weight_N is not None
        weight_N = torch.cat([weight_N, data.validation.weight_N])
    both = replace(
        data.train,
        x_NF=torch.cat([data.train.x_NF, data.validation.x_NF]),
        y_N=torch.cat([data.train.y_N, data.validation.y_N]),
        weight_N=weight_N,
    )
    return replace(data, train=both)


def _open(path: Path) -> torch.Tensor:
    # Mapped privately: pages are shared until written, and nothing writes to them. (A read-only
    # mapping does the same, but torch warns of every array that it could not write to.)
    return torch.from_numpy(np.load(path, mmap_mode="c", allow_pickle=False))


def _moved(split: Split, device: str) -> Split:
    return Split(
        x_NF=split.x_NF.to(device),
        y_N=split.y_N.to(device),
        weight_N=split.weight_N.to(device) if split.weight_N is not None else None,
        byte_scale=split.byte_scale.to(device) if split.byte_scale is not None else None,
    )
