"""A group: the state of K >= 1 lanes that train as one stacked model.

Shapes: K lanes, D parameters of a lane with padding, S steps, B batch, H width, C outputs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from tuner.study.trial import Values
from tuner.training.activations import ACTIVATIONS
from tuner.training.checkpoint import BadCheckpoint
from tuner.training.data import TrainingData
from tuner.training.lane import Lane
from tuner.training.mlp import Layout, StackedMLP, layout_of
from tuner.training.optimizers import OPTIMIZERS, L1Penalty
from tuner.training.randomness import DropoutMasks
from tuner.training.settings import Settings, settings_of, structure

_BLOCK_ELEMENTS = 2**17  # of what a block of steps keeps and masks: stays within the caches


@dataclass(kw_only=True)
class Seat:
    """A lane's place in the group: how far it is and how good it was."""

    lane: Lane
    settings: Settings
    step: int = 0  # epochs trained
    best_step: int = 0  # 0: no finite value yet
    best_values: Values = field(default_factory=dict)
    last_values: Values = field(default_factory=dict)

    @property
    def is_done(self) -> bool:
        return self.step >= self.settings.epochs


class Group:
    """The stacked rows of all seats, and the machinery that is built over them."""

    def __init__(self, lanes: Sequence[Lane], data: TrainingData) -> None:
        """New rows from each lane's seed; `resume` replaces them. One structure for all."""
        assert len({structure(lane.params) for lane in lanes}) == 1, "lanes of several structures"
        self.seats = [Seat(lane=lane, settings=settings_of(lane.params)) for lane in lanes]
        shape = self.seats[0].settings
        self.layout: Layout = layout_of(
            data.n_features, data.n_outputs, n_layers=shape.n_layers, width=shape.width
        )
        like = data.train.x_NF
        self._optimizer_type = OPTIMIZERS[shape.optimizer]
        self._parameters_KD = torch.stack([self.layout.initial(lane.seed, like) for lane in lanes])
        self._best_KD = self._parameters_KD.clone()
        self._slots = dict(self._optimizer_type.new_slots(self._parameters_KD))
        self._build()

    @property
    def batch_size(self) -> int:
        return self.seats[0].settings.batch_size

    def _build(self) -> None:
        """Models, kernels and buffers over the rows as they are now."""
        settings = [seat.settings for seat in self.seats]
        gradients_KD = torch.zeros_like(self._parameters_KD)
        activation = ACTIVATIONS[settings[0].activation]
        self.model = StackedMLP(self.layout, activation, self._parameters_KD, gradients_KD)
        self.optimizer = self._optimizer_type(
            self._parameters_KD, gradients_KD, settings, self._slots
        )
        self.penalty: L1Penalty | None = None
        if any(lane.l1 for lane in settings):
            n = self.layout.n_weights
            self.penalty = L1Penalty(self._parameters_KD[:, :n], gradients_KD[:, :n], settings)
        self._blocks: dict[tuple[int, int], Block] = {}

    def keep(self, kept: Sequence[int]) -> None:
        """Compact the stack: only the seats at these indices stay, in this order."""
        if len(kept) == len(self.seats):
            return
        self.seats = [self.seats[k] for k in kept]
        if not kept:
            return
        index = torch.tensor(kept, device=self._parameters_KD.device)
        self._parameters_KD = self._parameters_KD[index]
        self._best_KD = self._best_KD[index]
        self._slots = {name: slot[index] for name, slot in self._slots.items()}
        self._build()

    def note(self, k: int, values: Values, *, metric: str, minimize: bool) -> None:
        """An epoch of seat k has ended with these values; the best epoch's weights are kept."""
        seat = self.seats[k]
        seat.step += 1
        seat.last_values = values
        value, sign = values[metric], 1 if minimize else -1
        is_best = not seat.best_step or sign * value < sign * seat.best_values[metric]
        if is_best and abs(value) < float("inf"):
            seat.best_step, seat.best_values = seat.step, values
            self._best_KD[k].copy_(self._parameters_KD[k])

    def block(self, n_steps: int, batch: int) -> "Block":
        """What `n_steps` steps over batches of this size write into, allocated once."""
        if (n_steps, batch) not in self._blocks:
            self._blocks[n_steps, batch] = Block(self, n_steps, batch)
        return self._blocks[n_steps, batch]

    def block_steps(self) -> int:
        """How many steps fit into one block."""
        shape = self.seats[0].settings
        row = self.layout.biases[-1].shape[1] + shape.width * shape.n_layers
        return max(1, min(64, _BLOCK_ELEMENTS // (len(self.seats) * shape.batch_size * row)))

    def state(self, k: int) -> dict[str, object]:
        """Seat k as a tree that a checkpoint can hold and `resume` takes.

        Its tensors are views: to be written or copied before training goes on.
        """
        seat = self.seats[k]
        return {
            "structure": structure(seat.lane.params),
            "step": seat.step,
            "weights": self._named(self._parameters_KD[k]),
            "optimizer": {
                name: slot[k] if slot.dim() == 1 else self._named(slot[k])
                for name, slot in self._slots.items()
            },
            "best": {
                "step": seat.best_step,
                "values": dict(seat.best_values),
                "weights": self._named(self._best_KD[k]),
            },
            "last_values": dict(seat.last_values),
        }

    def resume(self, k: int, state: Any) -> None:
        """Put seat k where `state` was taken; raises `BadCheckpoint` if it does not fit."""
        seat = self.seats[k]
        wanted = structure(seat.lane.params)
        try:
            if state["structure"] != wanted:
                raise BadCheckpoint(f"the checkpoint is of {state['structure']!r}, not {wanted!r}")
            self._fill(self._parameters_KD[k], state["weights"])
            self._fill(self._best_KD[k], state["best"]["weights"])
            for name, slot in self._slots.items():
                if slot.dim() == 1:
                    slot[k] = state["optimizer"][name]
                else:
                    self._fill(slot[k], state["optimizer"][name])
            seat.step, seat.best_step = int(state["step"]), int(state["best"]["step"])
            seat.best_values = dict(state["best"]["values"])
            seat.last_values = dict(state["last_values"])
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise BadCheckpoint(f"the checkpoint does not fit this trial: {error!r}") from error

    def _named(self, row_D: torch.Tensor) -> dict[str, torch.Tensor]:
        return {parameter.name: parameter.of(row_D) for parameter in self.layout.parameters}

    def _fill(self, row_D: torch.Tensor, named: Mapping[str, torch.Tensor]) -> None:
        for parameter in self.layout.parameters:
            values = named[parameter.name]
            if tuple(values.shape) != parameter.shape:
                raise ValueError(f"{parameter.name} has shape {tuple(values.shape)}")
            parameter.of(row_D).copy_(values)


class Block:
    """What some steps over batches of one size write into."""

    def __init__(self, group: Group, n_steps: int, batch: int) -> None:
        settings = [seat.settings for seat in group.seats]
        self.buffers = group.model.buffers(batch)
        output_KBC = self.buffers.output
        self.kept_SKBC = output_KBC.new_empty(n_steps, *output_KBC.shape)
        self.kept = list(self.kept_SKBC.unbind(0))
        self._masks: DropoutMasks | None = None
        self.masks: Sequence[Sequence[torch.Tensor]] = [()] * n_steps  # [S][L] KBH
        if settings[0].n_layers and any(lane.dropout for lane in settings):
            self._masks = DropoutMasks(
                [seat.lane.seed for seat in group.seats],
                [lane.dropout for lane in settings],
                n_layers=settings[0].n_layers,
                n_steps=n_steps,
                batch=batch,
                width=settings[0].width,
                like=output_KBC,
            )
            self.masks = self._masks.by_step

    def draw_masks(self, first_steps_K: torch.Tensor) -> None:
        """Fill `masks`, if there is dropout, for the steps from `first_steps_K` on."""
        if self._masks is not None:
            self._masks.fill(first_steps_K)
