"""Simple models to compare a network with: scikit-learn's defaults, on the same prepared rows.

Shapes: N rows, F features, C outputs.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from threadpoolctl import threadpool_limits

from tuner.study_file.params.trainer_params import Task
from tuner.training.data.dataset import Dataset, Split

_MAX_CELLS = 4_000_000  # rows times features of a fit; more take minutes
_FEW_CELLS = 500_000  # up to here one thread is faster than several on a busy machine
_LEAST = 1e-15  # probability of a class that a model excludes: its logarithm is finite


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """A simple model that was fitted to training rows."""

    name: str
    n_rows: int  # that it was fitted to
    n_outputs: int
    model: Any  # of scikit-learn

    def outputs(self, split: Split) -> torch.Tensor:
        """Return outputs as a network has them (N, C): log-probabilities, or the target."""
        x_NF = split.inputs().flatten(1).cpu().numpy()
        with _quiet(x_NF.size):
            if not hasattr(self.model, "predict_proba"):
                return torch.from_numpy(self.model.predict(x_NF)).float()[:, None]
            known_Nc = self.model.predict_proba(x_NF)
        p_NC = np.zeros((len(x_NF), self.n_outputs))
        p_NC[:, self.model.classes_] = known_Nc
        return torch.from_numpy(np.log(p_NC.clip(_LEAST)))


def fit_baselines(data: Dataset, seed: int) -> list[Baseline]:
    """Fit them to the training rows, or to a random part of many rows.

    Rows count by their weights, if there are any. Training rows of a single class fit the first
    model alone.
    """
    split = data.train
    n_rows = min(split.n_rows, max(1, _MAX_CELLS // max(1, data.n_features)))
    index = torch.arange(split.n_rows)
    if n_rows < split.n_rows:
        generator = np.random.default_rng(seed)
        index = torch.from_numpy(generator.permutation(split.n_rows)[:n_rows]).sort().values
    index = index.to(split.x_NF.device)
    x_NF = split.inputs(index).cpu().numpy()
    y_N = split.y_N[index].cpu().numpy()
    weight_N = None if split.weight_N is None else split.weight_N[index].cpu().numpy()
    found = []
    with _quiet(x_NF.size):
        for name, model in _models(data.task, y_N, seed).items():
            model.fit(x_NF, y_N, sample_weight=weight_N)
            found.append(Baseline(name=name, n_rows=n_rows, n_outputs=data.n_outputs, model=model))
    return found


def _models(task: Task, y_N: NDArray[Any], seed: int) -> Mapping[str, Any]:
    if task is Task.REGRESSION:
        return {
            "mean": DummyRegressor(),
            "ridge regression": Ridge(),
            "histogram gradient boosting": HistGradientBoostingRegressor(random_state=seed),
        }
    majority = {"most frequent class": DummyClassifier(strategy="prior")}
    if len(np.unique(y_N)) < 2:
        return majority
    return {
        **majority,
        "logistic regression": LogisticRegression(),
        "histogram gradient boosting": HistGradientBoostingClassifier(random_state=seed),
    }


@contextmanager
def _quiet(n_cells: int) -> Iterator[None]:
    """Keep to one thread for few cells, and hide warnings about defaults that do not converge."""
    n_threads = 1 if n_cells <= _FEW_CELLS else None
    with warnings.catch_warnings(), threadpool_limits(n_threads):
        warnings.simplefilter("ignore")
        yield
