"""The part of a model card that compares the model with simple ones. Pure text."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tuner.export.markdown import cell, plain
from tuner.study.goal import Goal
from tuner.study_file.params.trainer_params import Task

_SHOWN = {
    Task.CLASSIFICATION: ("log_loss", "accuracy"),
    Task.REGRESSION: ("rmse", "r2"),
}
_OF_LOSS = {Task.CLASSIFICATION: "log_loss", Task.REGRESSION: "mse"}


def render_baselines(metrics: Mapping[str, Any], goal: Goal, task: Task) -> list[str]:
    """Render a table of `metrics["baselines"]` and who wins on the test split."""
    baselines: Sequence[Mapping[str, Any]] = metrics["baselines"]
    decisive = _test_name(goal.metric, task)
    names = list(dict.fromkeys([decisive, *_SHOWN[task]]))
    has_validation = metrics["validation"] is not None
    head = ["", *([cell(goal.metric)] if has_validation else []), *(f"test {n}" for n in names)]
    own = {"name": "this model", "validation": metrics["validation"], "test": metrics["test"]}
    rows = [head, ["---"] * len(head)]
    for model in (own, *baselines):
        validation = [model["validation"][goal.metric]] if has_validation else []
        numbers = [*validation, *(model["test"].get(name) for name in names)]
        rows.append([cell(model["name"]), *("" if n is None else f"{n:.4g}" for n in numbers)])
    n_rows = baselines[0]["n_rows"]
    return [
        "## Compared with simple models",
        f"With scikit-learn's defaults, fitted to {n_rows:,} of the rows that this model was "
        "trained on, prepared and split in the same way.",
        "\n".join(f"| {' | '.join(row)} |" for row in rows),
        _verdict(own, baselines, decisive, goal, task),
    ]


def _test_name(metric: str, task: Task) -> str:
    """Return the metric of the test split that belongs to the goal."""
    stem = metric.removeprefix("val_")
    return _OF_LOSS[task] if stem == "loss" else stem


def _verdict(
    own: Mapping[str, Any],
    baselines: Sequence[Mapping[str, Any]],
    name: str,
    goal: Goal,
    task: Task,
) -> str:
    mine = own["test"].get(name)
    theirs = {b["name"]: value for b in baselines if (value := b["test"].get(name)) is not None}
    if mine is None or not theirs:
        return ""
    best = min(theirs, key=lambda other: goal.rank(theirs[other]))
    numbers = f"{name} {mine:.4g} against {theirs[best]:.4g}"
    if math.isnan(mine) or goal.rank(theirs[best]) < goal.rank(mine):
        return (
            f"**It loses to {plain(best)} on the test split** ({numbers}): prefer that one, or "
            "search more."
        )
    return f"It is at least as good as {plain(best)}, the best of them ({numbers})."
