"""Quality of predictions, by scikit-learn's metrics. Shapes: N rows, C classes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn import metrics

from tuner.study.trial import Values
from tuner.study_file.params.trainer_params import Task
from tuner.training.data.dataset import Dataset, Split
from tuner.training.final.model import FinalModel
from tuner.training.losses.built_in import Loss
from tuner.training.losses.metrics import metrics_of
from tuner.training.losses.own import metrics_with

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The evaluation of one split."""

    n_rows: int
    metrics: dict[str, float]
    confusion: Sequence[Sequence[int]] = ()  # [true class][predicted class]
    targets: Sequence[float] = ()  # of regression, in the target's own unit
    predictions: Sequence[float] = ()


def evaluate(model: FinalModel, split: Split) -> Evaluation:
    """Compute all metrics that fit the task, on standardized rows."""
    outputs_NC = model.outputs(split.x_NF)
    y_N = split.y_N.cpu().numpy()
    card = model.card
    if card.task is Task.CLASSIFICATION:
        return _of_classes(outputs_NC.double().softmax(1).numpy(), y_N, card.n_outputs)
    scale, mean = card.target_scale, card.target_mean
    predicted = outputs_NC[:, 0].double().numpy() * scale + mean
    return _of_targets(predicted, y_N.astype(np.float64) * scale + mean)


def _of_classes(p_NC: Array, y_N: NDArray[np.int64], n_classes: int) -> Evaluation:
    """Compute the metrics; precision, recall, F1 and AUROC are means over classes (macro)."""
    labels = list(range(n_classes))
    chosen_N = p_NC.argmax(1)
    of_labels = {"labels": labels, "average": "macro", "zero_division": 0.0}
    found = {
        "accuracy": metrics.accuracy_score(y_N, chosen_N),
        "precision": metrics.precision_score(y_N, chosen_N, **of_labels),
        "recall": metrics.recall_score(y_N, chosen_N, **of_labels),
        "f1": metrics.f1_score(y_N, chosen_N, **of_labels),
        "log_loss": metrics.log_loss(y_N, p_NC, labels=labels),
    }
    if set(labels) == set(y_N.tolist()):  # a class without rows has no curve
        scores = p_NC[:, 1] if n_classes == 2 else p_NC
        found["auroc"] = metrics.roc_auc_score(y_N, scores, multi_class="ovr", labels=labels)
    return Evaluation(
        n_rows=len(y_N),
        metrics={name: float(value) for name, value in found.items()},
        confusion=metrics.confusion_matrix(y_N, chosen_N, labels=labels).tolist(),
    )


def _of_targets(predicted_N: Array, y_N: Array) -> Evaluation:
    """Compute the metrics in the target's own unit."""
    mse = float(metrics.mean_squared_error(y_N, predicted_N))
    return Evaluation(
        n_rows=len(y_N),
        metrics={
            "mse": mse,
            "rmse": mse**0.5,
            "mae": float(metrics.mean_absolute_error(y_N, predicted_N)),
            "r2": float(metrics.r2_score(y_N, predicted_N)),
        },
        targets=y_N.tolist(),
        predictions=predicted_N.tolist(),
    )


@torch.no_grad()
def validate(model: FinalModel, data: Dataset, loss: Loss) -> Values:
    """Compute the metrics that the search optimized, on the validation split."""
    split = data.validation
    metrics_of_task = metrics_with(loss, metrics_of(data))
    output_1CN = model.outputs(split.x_NF).T[None].to(split.x_NF.device)
    (sums,) = metrics_of_task.sums(output_1CN, split.y_N).tolist()
    return metrics_of_task.values(sums, split.n_rows)
