"""Loss functions: their gradient during a step, and the values of many steps at once.

Shapes: S steps, K lanes (1 in targets that all lanes share), B batch, C outputs, N rows. A step
keeps the inputs of its loss in `kept_KCB`; the losses of a block of steps follow in one go.
"""

from typing import Protocol, assert_never

import torch

from tuner.study_file.kinds.losses import BuiltInLoss
from tuner.study_file.params.trainer_params import Task
from tuner.training.data.dataset import Dataset


class Loss(Protocol):
    """The mean loss of a batch, over its weighted rows; and the plain loss of validation."""

    def targets(self, y_N: torch.Tensor, weight_N: torch.Tensor | None = None) -> torch.Tensor:
        """Return labels and weights in the form that the next two methods take, (N, C) or wider."""

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

    def plain_sums(self, output_KCB: torch.Tensor, y_B: torch.Tensor) -> torch.Tensor:
        """Return each lane's sum of the losses of rows (K,), without weights and smoothing."""


class CrossEntropy:
    """Softmax cross-entropy; keeps log-probabilities. C classes.

    Targets are -onehot, times the weight of the row and of its class. The mean of a batch divides
    by its number of rows: weights have the mean 1 over all training rows, not over each batch.
    """

    def __init__(self, n_classes: int, class_weight_C: torch.Tensor | None = None) -> None:
        self._n_classes = n_classes
        self._class_weight_C = class_weight_C

    def targets(self, y_N: torch.Tensor, weight_N: torch.Tensor | None = None) -> torch.Tensor:
        targets_NC = -torch.nn.functional.one_hot(y_N, self._n_classes)
        if self._class_weight_C is not None:
            of_class_N = self._class_weight_C[y_N]
            weight_N = of_class_N if weight_N is None else weight_N * of_class_N
        return targets_NC if weight_N is None else targets_NC * weight_N[:, None]

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

    def plain_sums(self, output_KCB: torch.Tensor, y_B: torch.Tensor) -> torch.Tensor:
        log_p_KCB = torch.log_softmax(output_KCB, 1)
        y_K1B = y_B.expand(len(output_KCB), 1, -1)
        return -log_p_KCB.gather(1, y_K1B).squeeze(1).sum(1)


class Curve(Protocol):
    """A loss as a function of the residual of a row."""

    def derivative(self, residual: torch.Tensor, factor: float, *, out: torch.Tensor) -> None:
        """Write the derivative times `factor`."""

    def value_(self, residual: torch.Tensor) -> torch.Tensor:
        """Return the loss; `residual` is used up."""


class Square:
    """The squared error."""

    def derivative(self, residual: torch.Tensor, factor: float, *, out: torch.Tensor) -> None:
        torch.mul(residual, 2 * factor, out=out)

    def value_(self, residual: torch.Tensor) -> torch.Tensor:
        return residual.square_()


class Absolute:
    """The absolute error."""

    def derivative(self, residual: torch.Tensor, factor: float, *, out: torch.Tensor) -> None:
        torch.sign(residual, out=out).mul_(factor)

    def value_(self, residual: torch.Tensor) -> torch.Tensor:
        return residual.abs_()


class Huber:
    """Half the squared error up to `delta`, and a line beyond (Huber, 1964)."""

    def __init__(self, delta: float) -> None:
        self._delta = delta

    def derivative(self, residual: torch.Tensor, factor: float, *, out: torch.Tensor) -> None:
        torch.clamp(residual, -self._delta, self._delta, out=out).mul_(factor)

    def value_(self, residual: torch.Tensor) -> torch.Tensor:
        inner = residual.abs_().clamp(max=self._delta)
        return residual.sub_(inner / 2).mul_(inner)


class ResidualLoss:
    """The mean of a function of the residuals; keeps residuals. C = 1.

    Targets have the weights of the rows, if there are any, as a second column.
    """

    def __init__(self, curve: Curve) -> None:
        self._curve = curve

    def targets(self, y_N: torch.Tensor, weight_N: torch.Tensor | None = None) -> torch.Tensor:
        return torch.stack([y_N] if weight_N is None else [y_N, weight_N], 1)

    def gradient(
        self,
        output_KCB: torch.Tensor,
        target_KCB: torch.Tensor,
        *,
        kept: torch.Tensor,
        out: torch.Tensor,
    ) -> None:
        torch.sub(output_KCB, target_KCB[:, :1], out=kept)
        self._curve.derivative(kept, 1 / output_KCB.shape[2], out=out)
        if target_KCB.shape[1] > 1:
            out.mul_(target_KCB[:, 1:])

    def of_steps(self, kept_SKCB: torch.Tensor, target_SKCB: torch.Tensor) -> torch.Tensor:
        value_SK1B = self._curve.value_(kept_SKCB)
        if target_SKCB.shape[2] > 1:
            value_SK1B.mul_(target_SKCB[:, :, 1:])
        return value_SK1B.flatten(2).mean(2)

    def plain_sums(self, output_KCB: torch.Tensor, y_B: torch.Tensor) -> torch.Tensor:
        return self._curve.value_(output_KCB.squeeze(1) - y_B).sum(1)


def loss_of(data: Dataset, asked: BuiltInLoss | None = None) -> Loss:
    """Return the loss that the study asks for, or the one that fits the data's task.

    A loss of another task was refused when the data were prepared.
    """
    match data.task:
        case Task.CLASSIFICATION:
            is_balanced = asked is not None and asked.class_weight == "balanced"
            return CrossEntropy(data.n_classes, _balanced(data) if is_balanced else None)
        case Task.REGRESSION:
            return ResidualLoss(_curve_of(asked))
        case _:
            assert_never(data.task)


def _balanced(data: Dataset) -> torch.Tensor:
    """Return the weight of each class (C,), inverse to its number of training rows.

    n / (C * n_of_class), as scikit-learn's "balanced": the mean over the training rows is 1.
    """
    y_N = data.train.y_N
    n_of_class_C = torch.bincount(y_N, minlength=data.n_classes).clamp(min=1)
    weight_C = len(y_N) / (data.n_classes * n_of_class_C.double())
    return weight_C.to(data.train.like.dtype)


def _curve_of(asked: BuiltInLoss | None) -> Curve:
    match asked and asked.name:
        case "mae":
            return Absolute()
        case "huber":
            assert asked is not None
            return Huber(asked.delta)
        case _:
            return Square()
