"""Requests for data, as a study file makes them."""

from pathlib import Path
from typing import Any

from tuner.study_file.data.sources import data_of
from tuner.study_file.kinds.trainer import TrainerObjective


def data_request(source: dict[str, Any], folder: Path = Path(), **rules: Any) -> dict[str, Any]:
    """The request of `objective: {data: SOURCE, model: mlp, **RULES}` in a file in this folder."""
    stored = {"data": data_of(source).model_dump(), "model": "mlp", **rules}
    return TrainerObjective.model_validate(stored).data_request(folder)
