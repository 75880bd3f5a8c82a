"""Made data sets: pure functions of a fixed seed, as `objective.data: {python: made.py:NAME}`."""

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import (
    make_classification,
    make_friedman1,
    make_hastie_10_2,
    make_moons,
)

Arrays = tuple[NDArray[np.float64], NDArray[np.float64] | NDArray[np.int64]]

_SEED = 20261201
_N_ROWS = 3000


def redundant() -> Arrays:
    """Return four classes; of 30 features, 8 inform, 12 repeat them, and 10 are noise."""
    x, y = make_classification(
        n_samples=_N_ROWS,
        n_features=30,
        n_informative=8,
        n_redundant=12,
        n_classes=4,
        n_clusters_per_class=2,
        flip_y=0.05,
        class_sep=1.0,
        random_state=_SEED,
    )
    return x, y


def friedman1() -> Arrays:
    """Return Friedman's first regression: 5 of 10 features matter, with noise."""
    x, y = make_friedman1(n_samples=_N_ROWS, n_features=10, noise=1.0, random_state=_SEED)
    return x, y


def hastie() -> Arrays:
    """Return two classes, inside and outside of a sphere in ten dimensions."""
    x, y = make_hastie_10_2(n_samples=_N_ROWS, random_state=_SEED)
    return x, (y > 0).astype(np.int64)


def moons() -> Arrays:
    """Return two noisy moons, rotated into 20 dimensions that have noise of their own."""
    generator = np.random.default_rng(_SEED)
    plane, y = make_moons(n_samples=_N_ROWS, noise=0.25, random_state=_SEED)
    rotation, _ = np.linalg.qr(generator.normal(size=(20, 20)))
    x = np.hstack([plane * 2, generator.normal(size=(_N_ROWS, 18)) * 0.5])
    return x @ rotation, y
