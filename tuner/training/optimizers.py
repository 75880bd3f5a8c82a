"""SGD, Adam, AdamW and RMSprop over stacked rows, each lane with its own settings.

The kernels are those of torch.optim's fused optimizers, called directly: the first use of
torch.optim itself costs a process 0.9 s. Shapes: K lanes, D parameters of a lane with padding.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch

from tuner.training.layout import Layout
from tuner.training.settings import Settings

Slots = Mapping[str, torch.Tensor]  # state of optimizers, each (K, D) or (K,)
Update = Callable[..., object]  # takes `lr` as a keyword for another rate than the lane's own

N_STEPS = "n_steps"  # the slot that counts, one number a lane
SLOTS: Mapping[str, tuple[str, ...]] = {
    "sgd": ("velocity",),
    "adam": ("mean", "square", N_STEPS),
    "adamw": ("mean", "square", N_STEPS),
    "rmsprop": ("square",),
}
_RMSPROP_DECAY = 0.99  # of the mean square, as in torch.optim
_MANY_STEPS = 1e9  # so many that Adam's corrections of its first means are 1


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
        self._of_lanes: list[Update] = []
        for k, (lane, layout) in enumerate(zip(settings, layouts, strict=True)):
            rows = {name: slot[k] for name, slot in slots.items() if name in SLOTS[lane.optimizer]}
            row = slice(layout.n_total)
            own = {n: slot if n == N_STEPS else slot[row] for n, slot in rows.items()}
            build = _BUILDERS[lane.optimizer]
            self._of_lanes.append(build(parameters_KD[k, row], gradients_KD[k, row], own, lane))
        self._updates = self._of_lanes
        self._by_step: list[tuple[Update, Iterator[float]]] = []

    def begin_epoch(self, rates_K: Sequence[Sequence[float] | None]) -> None:
        """Take each lane's learning rates of the next steps; None for its own in all of them."""
        self._updates, self._by_step = [], []
        for update, rates_S in zip(self._of_lanes, rates_K, strict=True):
            if rates_S is None:
                self._updates.append(update)
            elif rates_S.count(rates_S[0]) == len(rates_S):
                self._updates.append(partial(update, lr=rates_S[0]))
            else:
                self._by_step.append((update, iter(rates_S)))

    def step(self) -> None:
        if self._n_steps_K is not None:
            self._n_steps_K.add_(1)
        for update in self._updates:
            update()
        for update, rates in self._by_step:
            update(lr=next(rates))


def _build_sgd(
    parameters_D: torch.Tensor, gradients_D: torch.Tensor, slots: Slots, lane: Settings
) -> Update:
    """Build stochastic gradient descent with momentum (dampening 0), as torch.optim.SGD.

    Without a momentum there is nothing for Nesterov's method to look ahead along.
    """
    return partial(
        torch._fused_sgd_,
        [parameters_D],
        [gradients_D],
        [slots["velocity"]] if lane.momentum else [],  # the kernel insists
        lr=lane.learning_rate,
        momentum=lane.momentum,
        weight_decay=lane.weight_decay,
        dampening=0.0,
        nesterov=lane.nesterov and lane.momentum > 0,
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
    """Build Adam (Kingma & Ba, 2015); weight decay adds to the gradient."""
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
        beta1=lane.beta1,
        beta2=lane.beta2,
        eps=1e-8,
        amsgrad=False,
        maximize=False,
    )


# Decoupled weight decay: Loshchilov & Hutter, 2019.
_build_adamw = partial(_build_adam, kernel=torch._fused_adamw_)


def _build_rmsprop(
    parameters_D: torch.Tensor, gradients_D: torch.Tensor, slots: Slots, lane: Settings
) -> Update:
    """Build RMSprop (Hinton's lecture 6e, 2012), as torch.optim.RMSprop: no momentum, not centered.

    It is Adam whose mean is the present gradient (beta1 = 0), after many steps; torch has no fused
    kernel of its own for it. Nothing reads the mean of an earlier step.
    """
    mean_D = torch.zeros_like(parameters_D)
    n_steps = torch.full((), _MANY_STEPS, dtype=torch.float32, device=parameters_D.device)
    as_adam = replace(lane, beta1=0.0, beta2=_RMSPROP_DECAY)
    of_adam = {"mean": mean_D, "square": slots["square"], N_STEPS: n_steps}
    return _build_adam(parameters_D, gradients_D, of_adam, as_adam)


_BUILDERS: Mapping[str, Callable[[torch.Tensor, torch.Tensor, Slots, Settings], Update]] = {
    "sgd": _build_sgd,
    "adam": _build_adam,
    "adamw": _build_adamw,
    "rmsprop": _build_rmsprop,
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


class GradientClip:
    """Scales the gradient of a lane down to its `clip_norm`, as torch's clip_grad_norm_ does.

    Each norm is that of one lane's own numbers: a sum over a stack would round differently.
    Shapes: C lanes with a `clip_norm`.
    """

    def __init__(
        self, gradients_KD: torch.Tensor, settings: Sequence[Settings], layouts: Sequence[Layout]
    ) -> None:
        clipped = [k for k, lane in enumerate(settings) if lane.clip_norm]
        max_norms = [settings[k].clip_norm for k in clipped]
        self._max_norm_C = gradients_KD.new_tensor(max_norms)
        self._norm_C = torch.empty_like(self._max_norm_C)
        self._factor_C = torch.empty_like(self._max_norm_C)
        rows = [gradients_KD[k, : layouts[k].n_total] for k in clipped]
        self._rows = list(zip(rows, self._norm_C.unbind(), self._factor_C.unbind(), strict=True))

    def scale(self) -> None:
        for gradients_D, norm, _ in self._rows:
            torch.linalg.vector_norm(gradients_D, out=norm)
        # the summand keeps a gradient of zeros finite; it is torch's
        torch.div(self._max_norm_C, self._norm_C.add_(1e-6), out=self._factor_C).clamp_(max=1.0)
        for gradients_D, _, factor in self._rows:
            gradients_D.mul_(factor)
