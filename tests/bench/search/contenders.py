"""The contenders: a sampler and a pruner as a study file writes them, or stock Optuna."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.search.data import FOLDER, SETS
from tuner.study_file.load import load_spec
from tuner.study_file.model import StudySpec

N_EPOCHS = 27  # of a full trial
SPACE: Mapping[str, Any] = {
    "learning_rate": {"float": [1e-4, 1e-1], "log": True},
    "batch_size": {"choice": [16, 32, 64, 128]},
    "n_layers": {"int": [1, 4]},
    "width": {"choice": [16, 32, 64, 128]},
    "weight_decay": {"float": [1e-6, 1e-2], "log": True},
    "dropout": {"float": [0, 0.5]},
    "optimizer": {"choice": ["sgd", "adam"]},
    "momentum": {"float": [0.5, 0.99], "when": {"optimizer": "sgd"}},
}


def asha(min_resource: int, reduction_factor: int) -> Mapping[str, Any]:
    """Return the pruner; with the factor 27 the only rung is the first epoch."""
    return {"asha": {"min_resource": min_resource, "reduction_factor": reduction_factor}}


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A way to search: the keys `sampler` and `pruner` of its study file."""

    sampler: str | Mapping[str, Any] = "tpe"
    pruner: str | Mapping[str, Any] = field(default_factory=lambda: asha(1, 3))
    near: Mapping[str, Any] = field(default_factory=dict)  # beliefs, by param
    compares_best: bool = False  # at a rung: the best value so far instead of the last one
    is_stock: bool = False  # Optuna's own loop, with its TPE and SuccessiveHalvingPruner(1, 3)


CONTENDERS: Mapping[str, Contender] = {
    "tpe+asha": Contender(),
    "stock": Contender(is_stock=True),
    "random+asha": Contender(sampler="random"),
    "random+1/27": Contender(sampler="random", pruner=asha(1, 27)),
    "rung_tpe+asha": Contender(sampler="rung_tpe"),
    "mixed+asha": Contender(sampler="mixed"),
    "rung_gp+asha": Contender(sampler="rung_gp"),
    # A belief that holds on most data, and one that no data here support.
    "rung_gp+right belief": Contender(
        sampler="rung_gp", near={"learning_rate": 5e-3, "optimizer": "adam", "n_layers": 1}
    ),
    "rung_gp+wrong belief": Contender(
        sampler="rung_gp", near={"learning_rate": 2e-4, "optimizer": "sgd", "n_layers": 4}
    ),
    "rung_gp+asha(3,3)": Contender(sampler="rung_gp", pruner=asha(3, 3)),
    "rung_gp+asha(1,2)": Contender(sampler="rung_gp", pruner=asha(1, 2)),
    "rung_gp+asha(3,2)": Contender(sampler="rung_gp", pruner=asha(3, 2)),
    "rung_gp+asha, best so far": Contender(sampler="rung_gp", compares_best=True),
}


def build_spec(contender: Contender, data: str, in_flight: int, seed: int) -> StudySpec:
    """Return the study of a contender, through the reader of study files."""
    beliefs = {name: {**SPACE[name], "near": value} for name, value in contender.near.items()}
    study = {
        "name": "bench",
        "objective": SETS[data].objective,
        "minimize": "val_loss",
        "params": {"epochs": N_EPOCHS},
        "search_space": {**SPACE, **beliefs},
        "sampler": contender.sampler,
        "pruner": contender.pruner,
        "workers": {"lanes": in_flight},
        "seed": seed,
        "budget": {"epochs": 1_000_000},  # the driver counts them
    }
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(FOLDER / "made.py", folder)  # which the study may name
        file = Path(folder) / "study.yaml"
        file.write_text(json.dumps(study))  # which is YAML
        return load_spec(file)
