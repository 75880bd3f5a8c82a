"""What the way from a search to a model amounts to, beside two of scikit-learn's own models.

python tests/bench/final_models.py [--trials 100] [--data digits,diabetes,breast_cancer]

For each data set: a search, a confirmation of its 5 best trials under 5 fresh seeds, the final
training of the confirmed winner, and on the very same rows (trained on train, judged on test) a
linear model and gradient boosting with scikit-learn's defaults.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import accuracy_score, f1_score, mean_absolute_error, r2_score, roc_auc_score

from tests.data_requests import data_request
from tuner.training.data.preparing import prepare

STUDY = """\
name: {name}
objective:
  data: {{sklearn: {name}}}
  model: mlp
minimize: val_loss
params: {{epochs: 27, width: 64}}
search_space:
  learning_rate: {{float: [1e-4, 1e-1], log: true}}
  batch_size: {{choice: [16, 32, 64, 128]}}
  n_layers: {{int: [{fewest}, 3]}}
  weight_decay: {{float: [1e-6, 1e-1], log: true}}
  dropout: {{float: [0, 0.5]}}
budget: {{trials: {trials}}}
"""


MIN_LAYERS = {"diabetes": 0, "breast_cancer": 0}  # where a linear model does well


def main() -> None:
    """Print a table for each data set."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--data", default="digits,diabetes,breast_cancer")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tuner-bench-") as folder:
        Path(folder).chmod(0o711)
        for name in options.data.split(","):
            measure(name, options.trials, Path(folder))


def measure(name: str, trials: int, folder: Path) -> None:
    """One data set, from the search to the table."""
    study = folder / f"{name}.yaml"
    study.write_text(STUDY.format(name=name, trials=trials, fewest=MIN_LAYERS.get(name, 1)))
    home = folder / "home"
    tuner(home, "run", study)
    confirmed = json.loads(tuner(home, "confirm", name, "--json"))
    best = json.loads(tuner(home, "best", name, "--json"))
    winner = confirmed["candidates"][0]
    print(f"\n## {name}: {trials} trials")
    print(f"best val_loss of the search: {best['value']:.4f} (trial {best['number']})")
    of_best = next((c for c in confirmed["candidates"] if c["trial"] == best["number"]), None)
    if of_best is not None:
        print(f"  its params confirmed: {spread_of(of_best)}")
    print(
        f"confirmed winner: trial {winner['trial']}, search {winner['search_value']:.4f}, "
        f"confirmed {spread_of(winner)}, best with probability {winner['probability_best']:.2f}"
    )
    rows = {}
    for way, export, train in (
        ("confirmed winner", ["--by", "confirmed"], []),
        ("confirmed winner, train+val", ["--by", "confirmed"], ["--on", "train+val"]),
        ("search's best", [], []),
    ):
        stem = way.replace(" ", "-").replace(",", "").replace("'", "")
        config, out = folder / f"{name}-{stem}.yaml", folder / f"{name}-{stem}"
        tuner(home, "export", name, "-o", config, *export)
        metrics = json.loads(tuner(home, "train", config, "-o", out, "--json", *train))
        rows[way] = metrics["test"]
    rows |= baselines(name, home)
    names = [n for n in next(iter(rows.values())) if n != "rows"]
    names = [n for n in ("accuracy", "f1", "auroc", "mae", "r2") if n in names]
    print(f"\n| test split ({next(iter(rows.values()))['rows']} rows) | {' | '.join(names)} |")
    print(f"|---|{'---|' * len(names)}")
    for way, found in rows.items():
        print(f"| {way} | {' | '.join(f'{found[n]:.4f}' for n in names)} |")
    size, load_ms = artifact(out)
    print(f"\nmodel.safetensors: {size / 1024:.1f} KiB, loads in {load_ms:.1f} ms (warm)")


def spread_of(candidate: dict[str, Any]) -> str:
    """Mean and spread."""
    return (
        f"{candidate['mean']:.4f} +- {candidate['spread']:.4f} ({len(candidate['values'])} seeds)"
    )


def tuner(home: Path, *words: object) -> str:
    """Standard output of a command, with a home of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tuner.cli", *map(str, words)],
        env={**os.environ, "TUNER_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"tuner {' '.join(map(str, words))}: {done.stderr}")
    return done.stdout


def baselines(name: str, home: Path) -> dict[str, dict[str, float]]:
    """Two models of scikit-learn on the same split: trained on train, judged on test."""
    folder = prepare(data_request({"sklearn": name}), home / "data").folder
    x, y = np.load(folder / "train_x.npy"), np.load(folder / "train_y.npy")
    x_test, y_test = np.load(folder / "test_x.npy"), np.load(folder / "test_y.npy")
    meta = json.loads((folder / "meta.json").read_text())
    found = {}
    if meta["task"] == "classification":
        for model in (
            LogisticRegression(max_iter=5000),
            HistGradientBoostingClassifier(random_state=0),
        ):
            model.fit(x, y)
            p = model.predict_proba(x_test)
            scores = p[:, 1] if p.shape[1] == 2 else p
            chosen = p.argmax(1)
            found[type(model).__name__] = {
                "accuracy": accuracy_score(y_test, chosen),
                "f1": f1_score(y_test, chosen, average="macro"),
                "auroc": roc_auc_score(y_test, scores, multi_class="ovr"),
            }
        return found
    scale = meta["target_scale"]
    for model in (RidgeCV(np.logspace(-3, 4, 30)), HistGradientBoostingRegressor(random_state=0)):
        model.fit(x, y)
        predicted = model.predict(x_test)
        found[type(model).__name__] = {
            "mae": mean_absolute_error(y_test, predicted) * scale,
            "r2": r2_score(y_test, predicted),
        }
    return found


def artifact(folder: Path) -> tuple[int, float]:
    """Bytes of the model, and the milliseconds that loading it takes once torch is there."""
    import tuner

    times = []
    for _ in range(20):
        started = perf_counter()
        tuner.load_model(folder)
        times.append(perf_counter() - started)
    return (folder / "model.safetensors").stat().st_size, 1000 * sorted(times)[len(times) // 2]


if __name__ == "__main__":
    main()
