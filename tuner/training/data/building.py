"""Building of a prepared folder: load, split, fit, write. Loads scikit-learn and NumPy."""

import io
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tuner.study_file.params.trainer_params import OBJECTIVES
from tuner.training.data.preparation import Preparation
from tuner.training.data.source import Source
from tuner.training.data.split import split_rows
from tuner.training.data.table import Array, Table
from tuner.training.folders import sync_folder, write_new


def build_folder(source: Source, folder: Path) -> None:
    """Prepare a data set in an empty folder; `meta.json` comes last."""
    table = source.load()
    rows = split_rows(table)
    preparation = Preparation.fit(table, rows["train"])
    x_NF, y_N = preparation.inputs(table), preparation.target.apply(table.target.values_N)
    for name, index in rows.items():
        write_new(folder / f"{name}_x.npy", _encode(x_NF[index]))
        write_new(folder / f"{name}_y.npy", _encode(y_N[index]))
    preparation.save(folder)
    meta = {
        "task": table.task.value,
        "metrics": {name: direction.value for name, direction in OBJECTIVES[table.task].items()},
        "n_classes": len(table.target.categories),
        "n_rows": {name: len(index) for name, index in rows.items()},
        "target_scale": preparation.target.scale,
        "fingerprint": table.fingerprint(rows),
        "summary": _summary(table, rows),
    }
    write_new(folder / "meta.json", json.dumps(meta, indent=2).encode())
    sync_folder(folder)


def _summary(table: Table, rows: Mapping[str, Array]) -> str:
    n_classes = len(table.target.categories)
    classes = f", {n_classes} classes" if n_classes else ""
    splits = ", ".join(f"{len(index)} {name}" for name, index in rows.items())
    head = f"{table.name}: {table.n_rows} rows, {len(table.columns)} features"
    return f"{head}{classes}; {splits}"


def _encode(array: Array) -> bytes:
    """Return NumPy's own format."""
    content = io.BytesIO()
    np.save(content, array, allow_pickle=False)
    return content.getvalue()
