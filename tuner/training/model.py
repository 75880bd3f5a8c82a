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
