"""What a group needs of a kind of model: the built-in one, or a user's module.

Shapes: K lanes, D parameters of a lane with padding, S steps, B batch, F features, C outputs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch

from tuner.study.trial import Params
from tuner.training.layout import Layout


@dataclass(frozen=True, kw_only=True)
class Fresh:
    """The tensors of a lane that has not been trained."""

    parameters: Mapping[str, torch.Tensor]
    buffers: Mapping[str, torch.Tensor] = field(default_factory=dict)  # running statistics


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The stacked state of K lanes; a stack reads and writes it in place."""

    params: Sequence[Params]  # complete, per lane
    seeds: Sequence[int]
    parameters_KD: torch.Tensor
    gradients_KD: torch.Tensor
    buffers: Mapping[str, torch.Tensor]  # each (K, ...)


class Untrained(Protocol):
    """What new lanes need of a kind of model."""

    def layout(self, params: Params) -> Layout: ...

    def fresh(self, params: Params, seed: int) -> Fresh: ...


def stack_fresh(
    model: Untrained, params: Sequence[Params], seeds: Sequence[int], like: torch.Tensor
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Parameters (K, D) and buffers, each (K, ...), of lanes that have not been trained.

    `like` gives device and dtype. The rows come first: where a model is too large, they say so.
    """
    layouts = [model.layout(of_lane) for of_lane in params]
    width = max(layout.n_total for layout in layouts)
    parameters_KD = torch.zeros(len(layouts), width, dtype=like.dtype, device=like.device)
    fresh = [model.fresh(of_lane, seed) for of_lane, seed in zip(params, seeds, strict=True)]
    for row_D, layout, lane in zip(parameters_KD, layouts, fresh, strict=True):
        layout.fill(row_D, lane.parameters)
    buffers = {
        name: torch.stack([lane.buffers[name] for lane in fresh]).to(like.device)
        for name in fresh[0].buffers
    }
    return parameters_KD, buffers


class Stack(Protocol):
    """The models of K lanes over their rows. Built anew whenever lanes come or go."""

    def take_steps(
        self,
        batches: Sequence[torch.Tensor],
        target_SKCB: torch.Tensor,
        first_steps_K: torch.Tensor,
        update: Callable[[], None],
    ) -> torch.Tensor:
        """One step per batch (K or 1, B, F), of which the first is step `first_steps_K` of a lane.

        For each: write all gradients, then call `update`. The mean losses (S, K). Targets are
        class-major, as `Loss` wants them: so softmax runs over rows that lie side by side.
        """

    def outputs(self, x_BF: torch.Tensor, first: int, last: int) -> torch.Tensor:
        """The outputs (k, C, B) of the lanes from `first` to before `last`, for validation.

        They may lie in a buffer that the next call writes over.
        """


class Model(Protocol):
    """A kind of model. It holds no lane's state."""

    uses_autograd: bool  # else epochs run in inference mode, which makes small operations cheaper

    def key(self, params: Params) -> str:
        """Lanes with equal keys may share a stack; it is for people too."""

    def structure(self, params: Params) -> str:
        """What a checkpoint must agree with: the shapes and the meaning of a lane's own state."""

    def rank(self, params: Params) -> int:
        """The lanes of a stack are sorted by this, ascending."""

    def layout(self, params: Params) -> Layout:
        """Of one lane. A stack is as wide as its longest row; the others leave their end unused."""

    def fresh(self, params: Params, seed: int) -> Fresh:
        """Initial values, addressed by (seed, name): the same on every device."""

    def stack(self, rows: Rows) -> Stack:
        """The machinery over these rows."""

    def choose_plain(self, params: Params, is_plain: bool) -> bool:
        """Let single lanes of this kind train as an ordinary module, or not.

        False where there is no other way. Its results are those of a stack to rounding.
        """

    def most_lanes(self, params: Params) -> int | None:
        """None where any number fits; 1 for what cannot be fused."""

    def is_small(self, params: Params) -> bool:
        """Whether several CPU threads would rather wait for each other than share a step.

        A question of the kind (`key`), not of the company: a sum that threads share is rounded
        otherwise, and the same trial must give the same bits in any group.
        """
