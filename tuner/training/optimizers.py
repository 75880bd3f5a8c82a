"""SGD with momentum, Adam and AdamW over stacked rows, each lane with its own settings.

The kernels are those of torch.optim's fused optimizers, called directly: the first use of
torch.optim itself costs a process 0.9 s. Shapes: K lanes, D parameters of a lane with padding.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

import torch

from tuner.training.settings import Settings

Slots = Mapping[str, torch.Tensor]  # what an optimizer remembers, each (K, ...)


class Optimizer(Protocol):
    """Updates the rows in place from their gradients."""

    slots: Slots

    def step(self) -> None: ...


class SGD:
    """Stochastic gradient descent with momentum (dampening 0), as torch.optim.SGD."""

    def __init__(
        self,
        parameters_KD: torch.Tensor,
        gradients_KD: torch.Tensor,
        settings: Sequence[Settings],
        slots: Slots,
    ) -> None:
        self.slots = slots
        # A velocity of zero makes the first step like any other: is_first_step is not needed.
        self._updates = [
            partial(
                torch._fused_sgd_,
                [parameters_D],
                [gradients_D],
                [velocity_D] if lane.momentum else [],  # the kernel insists
                lr=lane.learning_rate,
                momentum=lane.momentum,
                weight_decay=lane.weight_decay,
                dampening=0.0,
                nesterov=False,
                maximize=False,
                is_first_step=False,
            )
            for parameters_D, gradients_D, velocity_D, lane in zip(
                parameters_KD, gradients_KD, slots["velocity"], settings, strict=True
            )
        ]

    @staticmethod
    def new_slots(parameters_KD: torch.Tensor) -> Slots:
        return {"velocity": torch.zeros_like(parameters_KD)}

    def step(self) -> None:
        for update in self._updates:
            update()


class Adam:
    """Adam (Kingma & Ba, 2015), betas 0.9 and 0.999; weight decay is added to the gradient."""

    kernel: Callable[..., object] = staticmethod(torch._fused_adam_)

    def __init__(
        self,
        parameters_KD: torch.Tensor,
        gradients_KD: torch.Tensor,
        settings: Sequence[Settings],
        slots: Slots,
    ) -> None:
        self.slots = slots
        self._n_steps_K = slots["n_steps"]
        lanes = zip(parameters_KD, gradients_KD, *slots.values(), settings, strict=True)
        self._updates = [
            partial(
                self.kernel,
                [parameters_D],
                [gradients_D],
                [mean_D],
                [square_D],
                [],
                [n_steps],
                lr=lane.learning_rate,
                weight_decay=lane.weight_decay,
                beta1=0.9,
                beta2=0.999,
                eps=1e-8,
                amsgrad=False,
                maximize=False,
            )
            for parameters_D, gradients_D, mean_D, square_D, n_steps, lane in lanes
        ]

    @staticmethod
    def new_slots(parameters_KD: torch.Tensor) -> Slots:
        n_steps_K = torch.zeros(
            len(parameters_KD), dtype=torch.float32, device=parameters_KD.device
        )
        return {
            "mean": torch.zeros_like(parameters_KD),
            "square": torch.zeros_like(parameters_KD),
            "n_steps": n_steps_K,
        }

    def step(self) -> None:
        self._n_steps_K.add_(1)
        for update in self._updates:
            update()


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter, 2019)."""

    kernel = staticmethod(torch._fused_adamw_)


OPTIMIZERS: dict[str, type[SGD] | type[Adam]] = {"sgd": SGD, "adam": Adam, "adamw": AdamW}


class L1Penalty:
    """Adds the subgradient of l1 * sum |weight| to the gradients of the weights, per lane."""

    def __init__(
        self,
        weights_KD: torch.Tensor,
        gradients_KD: torch.Tensor,
        settings: Sequence[Settings],
    ) -> None:
        self._weights_KD = weights_KD
        self._gradients_KD = gradients_KD
        factors = [[lane.l1] for lane in settings]
        self._factors_K1 = weights_KD.new_tensor(factors)
        self._signs_KD = torch.empty_like(weights_KD, memory_format=torch.contiguous_format)

    def add(self) -> None:
        torch.sign(self._weights_KD, out=self._signs_KD)
        self._gradients_KD.add_(self._signs_KD.mul_(self._factors_K1))
