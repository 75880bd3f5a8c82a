"""Building of a prepared folder: load, split, fit, write. Loads scikit-learn and NumPy."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tuner.study_file.data.prepare import PrepareRule
from tuner.study_file.data.split import SplitRule
from tuner.study_file.params.trainer_params import OBJECTIVES
from tuner.training.data.files import CSV_FORM
from tuner.training.data.preparation import Preparation
from tuner.training.data.source import BadData, DataRequest, Source
from tuner.training.data.split import split_rows
from tuner.training.data.table import Array, Table
from tuner.training.folders import open_new, sync_folder, write_new

_ROWS = 16_384  # prepared and written at once: bounds the memory


def build_folder(source: Source, request: DataRequest, folder: Path) -> None:
    """Prepare a data set in an empty folder; `meta.json` comes last. Raises `BadData`."""
    table = source.load()
    rule = PrepareRule.model_validate(dict(request.prepare))
    if table.pixels_NCHW is not None and rule != PrepareRule():
        raise BadData("`prepare:` has no effect on images; remove it")
    rows = split_rows(table, SplitRule.model_validate(dict(request.split)))
    fitted = Preparation.fit(table, rows["train"], rule)
    form = {name: str(request.source.get(name, default)) for name, default in CSV_FORM.items()}
    preparation = replace(fitted, form=form)
    for name, index in rows.items():
        _write_inputs(folder / f"{name}_x.npy", table, index, preparation)
        _write(folder / f"{name}_y.npy", preparation.target.apply(table.target.values_N[index]))
    if table.weight_N is not None:
        mean = table.weight_N[rows["train"]].mean()
        for name in ("train", "validation"):  # those that a final training uses
            weight_N = table.weight_N[rows[name]] / mean
            _write(folder / f"{name}_weight.npy", weight_N.astype(np.float32))
    preparation.save(folder)
    meta = {
        "task": table.task.value,
        "metrics": {name: direction.value for name, direction in OBJECTIVES[table.task].items()},
        "n_classes": len(table.target.categories),
        "n_rows": {name: len(index) for name, index in rows.items()},
        "target_scale": preparation.target.scale,
        "shape": preparation.pixels.shape if preparation.pixels else table.shape,
        "fingerprint": _fingerprint(source, request, table, rows),
        "summary": _summary(table, rows, preparation),
    }
    write_new(folder / "meta.json", json.dumps(meta, indent=2).encode())
    sync_folder(folder)


def _fingerprint(
    source: Source, request: DataRequest, table: Table, rows: Mapping[str, Array]
) -> str:
    """Return the identity of data and split on all machines.

    It follows from content and recipe, so that it is the same wherever files are. Studies of
    scikit-learn's sets have always had the hash of the values.
    """
    if "sklearn" in request.source:
        return table.fingerprint(rows)
    digest = hashlib.sha256()
    recipe = {**request.identity, "task": table.task.value}  # written out or not
    digest.update(json.dumps([dict(source.content()), recipe], sort_keys=True).encode())
    for index in rows.values():
        digest.update(np.ascontiguousarray(index).tobytes())
    return digest.hexdigest()


def _summary(table: Table, rows: Mapping[str, Array], preparation: Preparation) -> str:
    n_classes = len(table.target.categories)
    classes = f", {n_classes} classes" if n_classes else ""
    splits = ", ".join(f"{len(index)} {name}" for name, index in rows.items())
    if preparation.pixels is not None:
        channels, height, width = preparation.pixels.shape
        inputs = f"images of {height} x {width} x {channels}"
    else:
        inputs = f"{preparation.n_features} features"
        if preparation.n_features != len(table.columns):
            inputs = f"{len(table.columns)} columns, {inputs}"
    return f"{table.name}: {table.n_rows} rows, {inputs}{classes}; {splits}"


def _write_inputs(path: Path, table: Table, index: Array, preparation: Preparation) -> None:
    if table.pixels_NCHW is not None:
        pixels_NCHW = table.pixels_NCHW
        parts: Iterator[Array] = (pixels_NCHW[part] for part in _parts(index))
        _write_parts(path, (len(index), *pixels_NCHW.shape[1:]), np.dtype(np.uint8), parts)
        return
    parts = (
        preparation.inputs([column.take(part) for column in table.columns])
        for part in _parts(index)
    )
    _write_parts(path, (len(index), preparation.n_features), np.dtype(np.float32), parts)


def _write(path: Path, array: Array) -> None:
    _write_parts(path, array.shape, array.dtype, iter([array]))


def _parts(index: Array) -> Iterator[Array]:
    return (index[first : first + _ROWS] for first in range(0, len(index), _ROWS))


def _write_parts(
    path: Path, shape: tuple[int, ...], dtype: "np.dtype[Any]", parts: Iterator[Array]
) -> None:
    """Write an array in NumPy's own format, part by part."""
    header = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": shape,
    }
    with open_new(path) as file:
        np.lib.format.write_array_header_1_0(file, header)
        for part in parts:
            file.write(np.ascontiguousarray(part, dtype=dtype).data)
