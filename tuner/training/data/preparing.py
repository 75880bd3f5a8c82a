"""Preparation of a data set: from its source to arrays in a folder, once per machine.

This module loads neither torch nor scikit-learn when the folder is already there.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuner.training.data.source import Source
from tuner.training.data.sources import open_source
from tuner.training.folders import open_private_folder, sync_folder

VERSION = 3  # of what preparation does; a change here prepares again


@dataclass(frozen=True, kw_only=True)
class PreparedData:
    """A finished folder of arrays."""

    folder: Path
    fingerprint: str  # sha256 of the raw arrays and the split
    summary: str  # one line for people
    metrics: Mapping[str, str]  # that a study may optimize, by name, with their direction


def prepare(data: Mapping[str, Any], parent: Path) -> PreparedData:
    """Prepare `{"sklearn": name}` below `parent`, or find it finished."""
    source = open_source(data)
    folder = open_private_folder(parent) / _key(data, source)
    if not (folder / "meta.json").exists():
        _build(source, folder)
    meta = json.loads((folder / "meta.json").read_text())
    return PreparedData(
        folder=folder,
        fingerprint=meta["fingerprint"],
        summary=meta["summary"],
        metrics=meta["metrics"],
    )


def _key(data: Mapping[str, Any], source: Source) -> str:
    recipe = [dict(data), VERSION, dict(source.versions())]
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:32]


def _build(source: Source, folder: Path) -> None:
    """Write under a name of its own, then rename: a folder that exists is complete."""
    from tuner.training.data.building import build_folder  # noqa: PLC0415 - loads scikit-learn

    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        build_folder(source, unfinished)
        _publish(unfinished, folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _publish(unfinished: Path, folder: Path) -> None:
    try:
        unfinished.rename(folder)
    except OSError:
        if not (folder / "meta.json").exists():  # else another process was first: same content
            raise
        return
    sync_folder(folder.parent)
