"""Metrics of the validation split after an epoch.

Shapes: K lanes, B rows of a chunk, C outputs, M sums. A split may be processed in chunks: each
gives sums per lane, which add up; the metrics follow from the totals.
"""

from collections.abc import Sequence
from typing import Protocol, assert_never

import torch

from tuner.study.trial import Values
from tuner.study_file.params.trainer_params import Task
from tuner.training.data.dataset import Dataset


class Metrics(Protocol):
    """The metrics of one kind of task."""

    def sums(self, output_KCB: torch.Tensor, y_B: torch.Tensor) -> torch.Tensor:
        """Return this chunk's part of the sums, (K, M)."""

    def values(self, totals_M: Sequence[float], n_rows: int) -> Values:
        """Return the metrics of one lane."""


class ClassificationMetrics:
    """Mean cross-entropy and the share of rows whose largest output is the right class."""

    def sums(self, output_KCB: torch.Tensor, y_B: torch.Tensor) -> torch.Tensor:
        log_p_KCB = torch.log_softmax(output_KCB, 1)
        y_K1B = y_B.expand(len(output_KCB), 1, -1)
        loss_K = -log_p_KCB.gather(1, y_K1B).squeeze(1).sum(1)
        n_right_K = (output_KCB.argmax(1) == y_B).sum(1)
        return torch.stack([loss_K.double(), n_right_K.double()], 1)

    def values(self, totals_M: Sequence[float], n_rows: int) -> Values:
        loss, n_right = totals_M
        return {"val_loss": loss / n_rows, "val_accuracy": n_right / n_rows}


class RegressionMetrics:
    """Mean squared error of the standardized target, mean absolute error in its own unit, R^2."""

    def __init__(self, y_N: torch.Tensor, target_scale: float) -> None:
        """Take `y_N`, all standardized targets of the split."""
        self._target_scale = target_scale
        y_N = y_N.double()
        self._variance_sum = float((y_N - y_N.mean()).square().sum())

    def sums(self, output_KCB: torch.Tensor, y_B: torch.Tensor) -> torch.Tensor:
        residual_KB = output_KCB.squeeze(1) - y_B
        squared_K, absolute_K = residual_KB.square().sum(1), residual_KB.abs().sum(1)
        return torch.stack([squared_K.double(), absolute_K.double()], 1)

    def values(self, totals_M: Sequence[float], n_rows: int) -> Values:
        squared, absolute = totals_M
        return {
            "val_loss": squared / n_rows,
            "val_mae": absolute / n_rows * self._target_scale,
            # A constant target leaves nothing to explain (scikit-learn's r2_score: 0 as well).
            "val_r2": 1 - squared / self._variance_sum if self._variance_sum else 0.0,
        }


def metrics_of(data: Dataset) -> Metrics:
    """Return the metrics that fit the data's task."""
    match data.task:
        case Task.CLASSIFICATION:
            return ClassificationMetrics()
        case Task.REGRESSION:
            return RegressionMetrics(data.validation.y_N, data.target_scale)
        case _:
            assert_never(data.task)
