"""From a data source to arrays: split, standardize, write. Shapes: N rows, F features."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import datasets
from sklearn.model_selection import train_test_split

from tuner.training.folders import sync_folder, write_synced

_CLASSIFICATION = {
    "digits": datasets.load_digits,
    "breast_cancer": datasets.load_breast_cancer,
    "wine": datasets.load_wine,
    "iris": datasets.load_iris,
}
_REGRESSION = {"diabetes": datasets.load_diabetes}

_VALIDATION_SHARE = _TEST_SHARE = 0.15
_SPLIT_SEED = 0

Array = NDArray[Any]


class UnknownSource(Exception):
    """The data source does not exist; the message names those that do."""


@dataclass(frozen=True, kw_only=True)
class RawData:
    """A data set as its source gives it."""

    name: str
    x_NF: Array
    y_N: Array  # classes from 0, or a real target
    n_classes: int  # 0 for regression
    classes: tuple[str, ...] = ()  # their names, by number
    features: tuple[str, ...] = ()  # the names of the columns


def write_arrays(data: Mapping[str, Any], folder: Path) -> None:
    """Load, split and standardize a data set, and write it to an empty folder."""
    raw = load_source(data)
    rows = split_rows(raw)
    x_NF, mean_F, scale_F = _standardized(raw.x_NF.astype(np.float64), rows["train"])
    target_mean, target_scale = 0.0, 1.0
    y_N: Array = raw.y_N.astype(np.int64)
    if not raw.n_classes:
        target, mean_1, scale_1 = _standardized(raw.y_N.astype(np.float64)[:, None], rows["train"])
        target_mean, target_scale = float(mean_1[0]), float(scale_1[0])
        y_N = target[:, 0].astype(np.float32)
    for name, index in rows.items():
        _write(folder / f"{name}_x.npy", x_NF[index].astype(np.float32))
        _write(folder / f"{name}_y.npy", y_N[index])
    _write(folder / "mean.npy", mean_F)
    _write(folder / "scale.npy", scale_F)
    meta = {
        "task": "classification" if raw.n_classes else "regression",
        "n_features": raw.x_NF.shape[1],
        "n_classes": raw.n_classes,
        "n_rows": {name: len(index) for name, index in rows.items()},
        "target_mean": target_mean,
        "target_scale": target_scale,
        "classes": list(raw.classes),
        "features": list(raw.features),
        "fingerprint": _fingerprint(raw, rows),
        "summary": _summary(raw, rows),
    }
    _write(folder / "meta.json", json.dumps(meta, indent=2).encode())
    sync_folder(folder)


def load_source(data: Mapping[str, Any]) -> RawData:
    """The data set that `{"sklearn": name}` names."""
    name = data.get("sklearn")
    known = {**_CLASSIFICATION, **_REGRESSION}
    if set(data) != {"sklearn"} or name not in known:
        names = ", ".join(known)
        raise UnknownSource(f"no data source {json.dumps(dict(data))}; sklearn has: {names}")
    bunch = known[name]()
    classes = tuple(map(str, bunch.target_names)) if name in _CLASSIFICATION else ()
    return RawData(
        name=name,
        x_NF=bunch.data,
        y_N=bunch.target,
        n_classes=len(classes),
        classes=classes,
        features=tuple(map(str, bunch.feature_names)),
    )


def split_rows(raw: RawData) -> dict[str, Array]:
    """Row numbers of train, validation and test: 70, 15, 15 %, stratified by class."""
    rows = np.arange(len(raw.x_NF))
    test_size = round(len(rows) * _TEST_SHARE)
    rest, test = _cut(raw, rows, test_size)
    train, validation = _cut(raw, rest, round(len(rows) * _VALIDATION_SHARE))
    return {"train": train, "validation": validation, "test": test}


def _cut(raw: RawData, rows: Array, size: int) -> tuple[Array, Array]:
    strata = raw.y_N[rows] if raw.n_classes else None
    kept, cut = train_test_split(rows, test_size=size, random_state=_SPLIT_SEED, stratify=strata)
    return np.sort(kept), np.sort(cut)


def _standardized(x_NF: Array, fitted_on: Array) -> tuple[Array, Array, Array]:
    """Mean 0 and scale 1 over the rows `fitted_on`; also the mean and scale themselves."""
    mean_F, scale_F = x_NF[fitted_on].mean(0), x_NF[fitted_on].std(0)
    # A constant feature has no scale; rounding may leave it a tiny one.
    scale_F = np.where(scale_F > 1e-12 * np.maximum(1, np.abs(mean_F)), scale_F, 1.0)
    return (x_NF - mean_F) / scale_F, mean_F, scale_F


def _fingerprint(raw: RawData, rows: Mapping[str, Array]) -> str:
    digest = hashlib.sha256()
    for array in (raw.x_NF, raw.y_N, *rows.values()):
        digest.update(f"{array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _summary(raw: RawData, rows: Mapping[str, Array]) -> str:
    n_rows, n_features = raw.x_NF.shape
    classes = f", {raw.n_classes} classes" if raw.n_classes else ""
    splits = ", ".join(f"{len(index)} {name}" for name, index in rows.items())
    return f"{raw.name}: {n_rows} rows, {n_features} features{classes}; {splits}"


def _write(path: Path, content: Array | bytes) -> None:
    """A new file 0600, synced; an array in NumPy's own format."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    if isinstance(content, bytes):
        write_synced(handle, content)
        return
    with os.fdopen(handle, "wb") as file:
        np.save(file, content, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())
