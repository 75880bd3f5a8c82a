"""SGD with momentum, Adam and AdamW over stacked rows, each lane with its own settings.

The kernels are those of torch.optim's fused optimizers, called directly: the first use of
torch.optim itself costs a process 0.9 s. Shapes: K lanes, D parameters of a lane with padding.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch

from tuner.training.layout import Layout
from tuner.training.settings import Settings

Slots = Mapping[str, torch.Tensor]  # state of optimizers, each (K, D) or (K,)
Update = Callable[[], object]

N_STEPS = "n_steps"  # the slot that counts, one number a lane
SLOTS: Mapping[str, tuple[str, ...]] = {
    "sgd": ("velocity",),
    "adam": ("mean", "square", N_STEPS),
    "adamw": ("mean", "square", N_STEPS),
}


def slots_of(optimizers: Sequence[str]) -> list[str]:
    """Return the slots that a stack needs for lanes with these optimizers."""
    return sorted({slot for optimizer in optimizers for slot in SLOTS[optimizer]})


def new_slot(name: str, parameters_KD: torch.Tensor) -> torch.Tensor:
    """Return a slot of lanes that have not taken a step."""
    if name == N_STEPS:
        size, device = len(parameters_KD), parameters_KD.device
        return torch.zeros(size, dtype=torch.float32, device=device)
    return torch.zeros_like(parameters_KD)


class Optimizers:
    """Updates the rows in place from their gradients."""

    def __init__(
        self,
        parameters_KD: torch.Tensor,
        gradients_KD: torch.Tensor,
        slots: Slots,
        settings: Sequence[Settings],
        layouts: Sequence[Layout],
    ) -> None:
        self._n_steps_K = slots.get(N_STEPS)
        self._updates: list[Update] = []
        for k, (lane, layout) in enumerate(zip(settings, layouts, strict=True)):
            rows = {name: slot[k] for name, slot in slots.items() if name in SLOTS[lane.optimizer]}
            row = slice(layout.n_total)
            own = {n: slot if n == N_STEPS else slot[row] for n, slot in rows.items()}
            build = _BUILDERS[lane.optimizer]
            self._updates.append(build(parameters_KD[k, row], gradients_KD[k, row], own, lane))

    def step(self) -> None:
        if self._n_steps_K is not None:
            self._n_steps_K.add_(1)
        for update in self._updates:
            update()


def _build_sgd(
    parameters_D: torch.Tensor, gradients_D: torch.Tensor, slots: Slots, lane: Settings
) -> Update:
    """Build stochastic gradient descent with momentum (dampening 0), as torch.optim.SGD."""
    return partial(
        torch._fused_sgd_,
        [parameters_D],
        [gradients_D],
        [slots["velocity"]] if lane.momentum else [],  # the kernel insists
        lr=lane.learning_rate,
        momentum=lane.momentum,
        weight_decay=lane.weight_decay,
        dampening=0.0,
        nesterov=False,
        maximize=False,
        # A velocity of zero makes the first step like any other.
        is_first_step=False,
    )


def _build_adam(
    parameters_D: torch.Tensor,
    gradients_D: torch.Tensor,
    slots: Slots,
    lane: Settings,
    *,
    kernel: Callable[..., object] = torch._fused_adam_,
) -> Update:
    """Build Adam (Kingma & Ba, 2015), betas 0.9 and 0.999; weight decay adds to the gradient."""
    return partial(
        kernel,
        [parameters_D],
        [gradients_D],
        [slots["mean"]],
        [slots["square"]],
        [],
        [slots[N_STEPS]],
        lr=lane.learning_rate,
        weight_decay=lane.weight_decay,
        beta1=0.9,
        beta2=0.999,
        eps=1e-8,
        amsgrad=False,
        maximize=False,
    )


# Decoupled weight decay: Loshchilov & Hutter, 2019.
_build_adamw = partial(_build_adam, kernel=torch._fused_adamw_)

_BUILDERS: Mapping[str, Callable[[torch.Tensor, torch.Tensor, Slots, Settings], Update]] = {
    "sgd": _build_sgd,
    "adam": _build_adam,
    "adamw": _build_adamw,
}


class L1Penalty:
    """Adds the subgradient of l1 * sum |weight| to the gradients of the weights, per lane."""

    def __init__(
        self,
        parameters_KD: torch.Tensor,
        gradients_KD: torch.Tensor,
        settings: Sequence[Settings],
        layouts: Sequence[Layout],
    ) -> None:
        self._parameters_KD = parameters_KD
        self._gradients_KD = gradients_KD
        self._factors_KD = torch.zeros_like(parameters_KD)
        for factors_D, lane, layout in zip(self._factors_KD, settings, layouts, strict=True):
            for parameter in layout.parameters:
                if parameter.is_weight:
                    parameter.of(factors_D).fill_(lane.l1)
        self._signs_KD = torch.empty_like(parameters_KD)

    def add(self) -> None:
        torch.sign(self._parameters_KD, out=self._signs_KD)
        self._gradients_KD.add_(self._signs_KD.mul_(self._factors_KD))
