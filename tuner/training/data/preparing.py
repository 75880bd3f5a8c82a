"""Preparation of a data set: from its source to arrays in a folder, once per machine.

This module loads neither NumPy nor torch nor scikit-learn when the folder is already there.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import time
from typing import Any, NoReturn

from tuner.training.data.content import Hashes
from tuner.training.data.source import BadData, DataRequest, Source
from tuner.training.data.sources import LoadCode, Machine, open_source
from tuner.training.folders import open_private_folder, sync_folder

VERSION = 6  # of the preparation; a change here prepares again
HASHES_FILE = "hashes.json"
_MAX_UNUSED = 30 * 86_400  # seconds


@dataclass(frozen=True, kw_only=True)
class PreparedData:
    """A finished folder of arrays."""

    folder: Path
    fingerprint: str  # sha256 that identifies data and split on all machines
    summary: str  # one line for people
    metrics: Mapping[str, str]  # that a study may optimize, by name, with their direction
    n_rows: int
    has_images: bool  # of one shape, so that a convolutional network can take them


def request_of(stored: Mapping[str, Any]) -> DataRequest:
    """Return the request that `TrainerObjective.data_request` gave."""
    return DataRequest(**{**stored, "folder": Path(stored["folder"])})


def _refuse_code(name: str, folder: str) -> NoReturn:
    raise BadData(f"{name} is code, and nothing here may run it")


def prepare(
    data: Mapping[str, Any], parent: Path, load_code: LoadCode = _refuse_code
) -> PreparedData:
    """Prepare a request below `parent`, or reuse the finished folder; raises `BadData`."""
    request = request_of(data)
    hashes = Hashes(open_private_folder(parent) / HASHES_FILE)
    source = open_source(request, Machine(hashes=hashes, load_code=load_code))
    folder = parent / _key(request, source)
    if (folder / "meta.json").exists():
        with suppress(OSError):
            os.utime(folder)  # `remove_unused` keeps it
    else:
        remove_unused(parent)
        _build(source, request, folder)
    meta = json.loads((folder / "meta.json").read_text())
    return PreparedData(
        folder=folder,
        fingerprint=meta["fingerprint"],
        summary=meta["summary"],
        metrics=meta["metrics"],
        n_rows=sum(meta["n_rows"].values()),
        has_images=meta["shape"] is not None,
    )


def remove_unused(parent: Path) -> None:
    """Remove preparations that no run has used for 30 days, and what a crash left of others."""
    for folder in parent.iterdir():
        with suppress(OSError):
            if not folder.is_dir() or folder.stat().st_mtime > time() - _MAX_UNUSED:
                continue
            if not folder.name.startswith("."):  # a folder with its own name is always complete
                folder = folder.rename(parent / f".{folder.name}.unused")
            shutil.rmtree(folder)


def _key(request: DataRequest, source: Source) -> str:
    recipe = [dict(request.identity), request.task, VERSION, dict(source.content())]
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:32]


def _build(source: Source, request: DataRequest, folder: Path) -> None:
    """Write to a temporary folder, then rename it: a folder that exists is complete."""
    from tuner.training.data.building import build_folder  # noqa: PLC0415 - loads scikit-learn

    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        build_folder(source, request, unfinished)
        if _key(request, source) != folder.name:
            raise BadData("the data changed while they were read; run it again")
        _publish(unfinished, folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _publish(unfinished: Path, folder: Path) -> None:
    try:
        unfinished.rename(folder)
    except OSError:
        if (folder / "meta.json").exists():
            return  # another process was first, with the same content
        if not folder.is_dir():
            raise
        shutil.rmtree(folder)  # what remains of a folder that was removed in part
        unfinished.rename(folder)
    sync_folder(folder.parent)
