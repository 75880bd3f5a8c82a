"""Loss functions: their gradient during a step, their value afterwards, many steps at once.

Shapes: S steps, K lanes (1 in targets that all lanes share), B batch, C outputs, N rows.
A step keeps what its loss needs in `kept_KBC`; the losses of a block of steps follow in one go.
"""

from typing import Protocol, assert_never

import torch

from tuner.study_file.trainer_params import Task
from tuner.training.data import TrainingData


class Loss(Protocol):
    """The mean loss of a batch."""

    def targets(self, y_N: torch.Tensor) -> torch.Tensor:
        """The labels in the form that the other two want (N, C)."""

    def gradient(
        self,
        output_KBC: torch.Tensor,
        target_KBC: torch.Tensor,
        *,
        kept: torch.Tensor,
        out: torch.Tensor,
    ) -> None:
        """Write the gradient of the mean loss to `out`, and what `of_steps` needs to `kept`."""

    def of_steps(self, kept_SKBC: torch.Tensor, target_SKBC: torch.Tensor) -> torch.Tensor:
        """The mean losses (S, K) of steps that were taken."""


class CrossEntropy:
    """Softmax cross-entropy; keeps log-probabilities. C classes. Targets are -onehot."""

    def __init__(self, n_classes: int) -> None:
        self._n_classes = n_classes

    def targets(self, y_N: torch.Tensor) -> torch.Tensor:
        return -torch.nn.functional.one_hot(y_N, self._n_classes)

    def gradient(
        self,
        output_KBC: torch.Tensor,
        target_KBC: torch.Tensor,
        *,
        kept: torch.Tensor,
        out: torch.Tensor,
    ) -> None:
        torch._log_softmax(output_KBC, 2, False, out=kept)
        # d(loss)/d(log p) = -onehot / B; the division comes last because B differs at the end
        torch._log_softmax_backward_data(target_KBC, kept, 2, kept.dtype, out=out)
        out.mul_(1 / output_KBC.shape[1])

    def of_steps(self, kept_SKBC: torch.Tensor, target_SKBC: torch.Tensor) -> torch.Tensor:
        batch = kept_SKBC.shape[2]
        return (kept_SKBC * target_SKBC).flatten(2).sum(2).div_(batch)


class SquaredError:
    """Mean squared error; keeps residuals. C = 1."""

    def targets(self, y_N: torch.Tensor) -> torch.Tensor:
        return y_N[:, None]

    def gradient(
        self,
        output_KBC: torch.Tensor,
        target_KBC: torch.Tensor,
        *,
        kept: torch.Tensor,
        out: torch.Tensor,
    ) -> None:
        torch.sub(output_KBC, target_KBC, out=kept)
        torch.mul(kept, 2 / output_KBC.shape[1], out=out)

    def of_steps(self, kept_SKBC: torch.Tensor, target_SKBC: torch.Tensor) -> torch.Tensor:
        return (kept_SKBC * kept_SKBC).flatten(2).mean(2)


def loss_of(data: TrainingData) -> Loss:
    """The loss that fits the data's task."""
    match data.task:
        case Task.CLASSIFICATION:
            return CrossEntropy(data.n_classes)
        case Task.REGRESSION:
            return SquaredError()
        case _:
            assert_never(data.task)
