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
from tuner.training.final.model_card import ModelCard
from tuner.training.losses.metrics import Metrics

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
    return evaluate_outputs(model.outputs(split.inputs()), split, model.card)


def evaluate_outputs(outputs_NC: torch.Tensor, split: Split, card: ModelCard) -> Evaluation:
    """Compute them from outputs, of any model for the rows of this card."""
    y_N = split.y_N.cpu().numpy()
    if card.task is Task.CLASSIFICATION:
        return _of_classes(outputs_NC.double().softmax(1).numpy(), y_N, card.n_outputs)
    scale, mean = card.target_scale, card.target_mean
    predicted = outputs_NC[:, 0].double().numpy() * scale + mean
    return _of_targets(predicted, y_N.astype(np.float64) * scale + mean)


def _of_classes(p_NC: Array, y_N: NDArray[np.int64], n_classes: int) -> Evaluation:
    """Compute the metrics; precision, recall, F1 and AUROC are means over classes (macro).

    A class without rows in the split, or with all of them, has no curve and no part in AUROC.
    """
    labels = list(range(n_classes))
    chosen_N = p_NC.argmax(1)
    of_labels = {"labels": labels, "average": "macro", "zero_division": 0.0}
    found = {
        "accuracy": metrics.accuracy_score(y_N, chosen_N),
        "balanced_accuracy": metrics.recall_score(
            y_N, chosen_N, labels=np.unique(y_N), average="macro"
        ),
        "precision": metrics.precision_score(y_N, chosen_N, **of_labels),
        "recall": metrics.recall_score(y_N, chosen_N, **of_labels),
        "f1": metrics.f1_score(y_N, chosen_N, **of_labels),
        "log_loss": metrics.log_loss(y_N, p_NC, labels=labels),
    }
    areas = [
        metrics.roc_auc_score(y_N == c, p_NC[:, c])
        for c in (labels[1:] if n_classes == 2 else labels)
        if 0 < np.count_nonzero(y_N == c) < len(y_N)
    ]
    if areas:
        found["auroc"] = sum(areas) / len(areas)
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
def validate(model: FinalModel, data: Dataset, metrics: Metrics) -> Values:
    """Compute the metrics that the search reported, on the validation split."""
    return validate_outputs(model.outputs(data.validation.inputs()), data, metrics)


def validate_outputs(outputs_NC: torch.Tensor, data: Dataset, metrics: Metrics) -> Values:
    """Compute them from the outputs of any model."""
    split = data.validation
    output_1CN = outputs_NC.to(split.like.dtype).T[None].to(split.x_NF.device)
    (values,) = metrics.of([(output_1CN, split.y_N)])
    return values
