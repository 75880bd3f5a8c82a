"""The data sets of the bench, and how they are prepared: as a study file would ask for it."""

import getpass
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch

from tests.data_requests import data_request
from tuner.study_file.params.trainer_params import Task
from tuner.training.data.dataset import Dataset, Split, load_dataset, open_test_split
from tuner.training.data.preparing import prepare
from tuner.worker.kinds.trainer.models import load_data

FOLDER = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """A source, and the shares of its rows; few rows for training make a search fast."""

    source: Mapping[str, str]
    task: Task
    validation: float  # of the rows without the test rows' share taken out
    test: float

    @property
    def objective(self) -> dict[str, Any]:
        """Return the objective of a study file."""
        split = {"validation": self.validation, "test": self.test}
        task = {"task": self.task.value} if "python" in self.source else {}
        return {"data": dict(self.source), "model": "mlp", "split": split, **task}


# Contenders may be compared on these as often as it helps.
DEVELOPMENT: Mapping[str, DataSet] = {
    "digits": DataSet(
        source={"sklearn": "digits"}, task=Task.CLASSIFICATION, validation=0.3, test=0.4
    ),
    "diabetes": DataSet(
        source={"sklearn": "diabetes"}, task=Task.REGRESSION, validation=0.25, test=0.25
    ),
    "redundant": DataSet(
        source={"python": "made.py:redundant"},
        task=Task.CLASSIFICATION,
        validation=0.3,
        test=0.5,
    ),
}
# Searched once, at the end, when nothing is changed any more.
DECISION: Mapping[str, DataSet] = {
    "breast_cancer": DataSet(
        source={"sklearn": "breast_cancer"},
        task=Task.CLASSIFICATION,
        validation=0.3,
        test=0.3,
    ),
    "friedman1": DataSet(
        source={"python": "made.py:friedman1"}, task=Task.REGRESSION, validation=0.3, test=0.5
    ),
    "hastie": DataSet(
        source={"python": "made.py:hastie"}, task=Task.CLASSIFICATION, validation=0.3, test=0.5
    ),
    "moons": DataSet(
        source={"python": "made.py:moons"}, task=Task.CLASSIFICATION, validation=0.3, test=0.5
    ),
}
SETS: Mapping[str, DataSet] = {**DEVELOPMENT, **DECISION}


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """The rows of the search, and the test rows that it never sees."""

    dataset: Dataset
    test: Split


@cache
def load_prepared(name: str) -> Prepared:
    """Prepare a data set, or open what an earlier bench prepared."""
    request = dict(SETS[name].objective)
    source, model = request.pop("data"), request.pop("model")
    assert model == "mlp"
    parent = Path(tempfile.gettempdir()) / f"tuner-bench-search-{getpass.getuser()}"
    parent.mkdir(mode=0o700, exist_ok=True)
    folder = prepare(data_request(source, FOLDER, **request), parent, load_data).folder
    return Prepared(dataset=_in_memory(load_dataset(folder, "cpu")), test=open_test_split(folder))


def _in_memory(data: Dataset) -> Dataset:
    return replace(data, train=_copied(data.train), validation=_copied(data.validation))


def _copied(split: Split) -> Split:
    return replace(split, x_NF=split.x_NF.clone(), y_N=split.y_N.clone())


def joined(data: Prepared) -> Dataset:
    """Return the data set whose validation rows are followed by the test rows."""
    one, two = data.dataset.validation, data.test
    both = replace(one, x_NF=torch.cat([one.x_NF, two.x_NF]), y_N=torch.cat([one.y_N, two.y_N]))
    return replace(data.dataset, validation=both)
