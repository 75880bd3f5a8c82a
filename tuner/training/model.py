"""Port between a group and a kind of model: the built-in one, or a user's module.

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
    """The tensors of an untrained lane."""

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
    """The part of a model that new lanes need."""

    def layout(self, params: Params) -> Layout: ...

    def fresh(self, params: Params, seed: int) -> Fresh: ...


def stack_fresh(
    model: Untrained, params: Sequence[Params], seeds: Sequence[int], like: torch.Tensor
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Return parameters (K, D) and buffers, each (K, ...), of untrained lanes.

    `like` gives device and dtype. The rows come first: they raise the error of a model that is too
    large.
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
    """The models of K lanes over their rows; rebuilt whenever lanes come or go."""

    def take_steps(
        self,
        batches: Sequence[torch.Tensor],
        target_SKCB: torch.Tensor,
        first_steps_K: torch.Tensor,
        update: Callable[[], None],
    ) -> torch.Tensor:
        """Take one step per batch (K or 1, B, F); the first is step `first_steps_K` of a lane.

        For each, write all gradients, then call `update`. Return the mean losses (S, K). Targets
        are class-major, as `Loss` takes them, so that softmax runs over contiguous rows.
        """

    def outputs(self, x_BF: torch.Tensor, first: int, last: int) -> torch.Tensor:
        """Return the validation outputs (k, C, B) of the lanes from `first` to before `last`.

        They may share a buffer that the next call overwrites.
        """


class Model(Protocol):
    """A kind of model, without the state of any lane."""

    # otherwise epochs run in inference mode, which makes small operations cheaper
    uses_autograd: bool

    def key(self, params: Params) -> str:
        """Return the key by which lanes may share a stack; it is also displayed."""

    def structure(self, params: Params) -> str:
        """Describe the shapes and the meaning of a lane's state, which a checkpoint must match."""

    def rank(self, params: Params) -> int:
        """Return the sort key of a lane in its stack, ascending."""

    def layout(self, params: Params) -> Layout:
        """Return a lane's layout; the rows of a stack are as long as its longest one."""

    def fresh(self, params: Params, seed: int) -> Fresh:
        """Return initial values, addressed by (seed, name): the same on every device."""

    def stack(self, rows: Rows) -> Stack:
        """Build the machinery over these rows."""

    def choose_plain(self, params: Params, is_plain: bool) -> bool:
        """Let single lanes of this kind train as an ordinary module, or not.

        Return False if there is no choice. Its results are those of a stack to rounding.
        """

    def max_lanes(self, params: Params) -> int | None:
        """Return None if any number fits; 1 for lanes that cannot be fused."""

    def is_small(self, params: Params) -> bool:
        """Return whether several CPU threads would mostly wait for each other during a step.

        This depends on the kind (`key`), not on the other lanes: a sum that threads share is
        rounded differently, and the same trial must give the same bits in any group.
        """
