"""XGBoost on scikit-learn's diabetes data, round by round."""

import numpy as np
import xgboost
from sklearn.datasets import load_diabetes


def train(trial):
    params = dict(trial.params)
    n_rounds = params.pop("epochs")
    settings = {
        **params,
        "device": trial.device,
        "seed": trial.seed % 2**31,
        # A resumed trial draws the same rows and columns. Only "exact" can: the others draw from a
        # generator whose state is in no model.
        "seed_per_iteration": True,
        "tree_method": "exact" if trial.device == "cpu" else "hist",
        "nthread": 1,  # the workers already share the cores
    }
    (rows, val_rows, _), (target, val_target, _) = load_data()
    data, val_data = xgboost.DMatrix(rows, target), xgboost.DMatrix(val_rows)
    state = trial.checkpoint.load()
    saved = None if state is None else bytearray(state)
    booster = xgboost.Booster(settings, [data], saved)
    for done in range(booster.num_boosted_rounds(), n_rounds):
        booster.update(data, done)
        trial.report(step=done + 1, val_rmse=rmse(booster, val_data, val_target))
        trial.checkpoint.save(lambda: np.frombuffer(booster.save_raw(), dtype=np.uint8))


def test(trial):
    """Return the metrics of the model that `tuner train` delivers."""
    (_, _, rows), (_, _, target) = load_data()
    booster = xgboost.Booster(model_file=bytearray(trial.checkpoint.load()))
    return {"rmse": rmse(booster, xgboost.DMatrix(rows), target)}


def rmse(booster, rows, target):
    return float(np.sqrt(np.mean((booster.predict(rows) - target) ** 2)))


def load_data():
    """Return the rows and the targets of training, validation and test."""
    rows, target = load_diabetes(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(rows))
    parts = np.split(order, [260, 350])
    return [rows[part] for part in parts], [target[part] for part in parts]
