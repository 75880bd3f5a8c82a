"""Loss functions: their gradient during a step, and the values of many steps at once.

Shapes: S steps, K lanes (1 in targets that all lanes share), B batch, C outputs, N rows. A step
keeps the inputs of its loss in `kept_KCB`; the losses of a block of steps follow in one go.
"""

from typing import Protocol, assert_never

import torch

from tuner.study_file.params.trainer_params import Task
from tuner.training.data.dataset import Dataset


class Loss(Protocol):
    """The mean loss of a batch."""

    def targets(self, y_N: torch.Tensor) -> torch.Tensor:
        """Return the labels in the form that the other two methods take (N, C)."""

    def gradient(
        self,
        output_KCB: torch.Tensor,
        target_KCB: torch.Tensor,
        *,
        kept: torch.Tensor,
        out: torch.Tensor,
    ) -> None:
        """Write the gradient of the mean loss to `out`, and the inputs of `of_steps` to `kept`."""

    def of_steps(self, kept_SKCB: torch.Tensor, target_SKCB: torch.Tensor) -> torch.Tensor:
        """Return the mean losses (S, K) of past steps; `kept` is used up."""


class CrossEntropy:
    """Softmax cross-entropy; keeps log-probabilities. C classes. Targets are -onehot."""

    def __init__(self, n_classes: int) -> None:
        self._n_classes = n_classes

    def targets(self, y_N: torch.Tensor) -> torch.Tensor:
        return -torch.nn.functional.one_hot(y_N, self._n_classes)

    def gradient(
        self,
        output_KCB: torch.Tensor,
        target_KCB: torch.Tensor,
        *,
        kept: torch.Tensor,
        out: torch.Tensor,
    ) -> None:
        torch._log_softmax(output_KCB, 1, False, out=kept)
        # d(loss)/d(log p) = -onehot / B; the division comes last because B differs at the end
        torch._log_softmax_backward_data(target_KCB, kept, 1, kept.dtype, out=out)
        out.mul_(1 / output_KCB.shape[2])

    def of_steps(self, kept_SKCB: torch.Tensor, target_SKCB: torch.Tensor) -> torch.Tensor:
        batch = kept_SKCB.shape[3]
        return kept_SKCB.mul_(target_SKCB).flatten(2).sum(2).div_(batch)


class SquaredError:
    """Mean squared error; keeps residuals. C = 1."""

    def targets(self, y_N: torch.Tensor) -> torch.Tensor:
        return y_N[:, None]

    def gradient(
        self,
        output_KCB: torch.Tensor,
        target_KCB: torch.Tensor,
        *,
        kept: torch.Tensor,
        out: torch.Tensor,
    ) -> None:
        torch.sub(output_KCB, target_KCB, out=kept)
        torch.mul(kept, 2 / output_KCB.shape[2], out=out)

    def of_steps(self, kept_SKCB: torch.Tensor, target_SKCB: torch.Tensor) -> torch.Tensor:
        return kept_SKCB.square_().flatten(2).mean(2)


def loss_of(data: Dataset) -> Loss:
    """Return the loss that fits the data's task."""
    match data.task:
        case Task.CLASSIFICATION:
            return CrossEntropy(data.n_classes)
        case Task.REGRESSION:
            return SquaredError()
        case _:
            assert_never(data.task)
