"""A group: the state of K >= 1 lanes that train as one stack.

Shapes: K lanes, D parameters of the longest lane with padding.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from tuner.study.goal import Goal
from tuner.study.trial import Values
from tuner.training.checkpoint_file import BadCheckpoint
from tuner.training.lane import Lane
from tuner.training.layout import Layout
from tuner.training.losses.smoothing import LabelSmoothing
from tuner.training.model import Model, Rows, Stack, stack_fresh
from tuner.training.optimizers import (
    N_STEPS,
    SLOTS,
    GradientClip,
    L1Penalty,
    Optimizers,
    new_slot,
    slots_of,
)
from tuner.training.schedules import Plateau, learning_rates
from tuner.training.settings import Settings, settings_of
from tuner.training.tensor_file import READING_FAILS, reason_of


@dataclass(kw_only=True)
class Seat:
    """A lane's position in the group, with its progress and its best value."""

    lane: Lane
    settings: Settings
    layout: Layout
    step: int = 0  # epochs trained
    best_step: int = 0  # 0: no finite value yet
    best_values: Values = field(default_factory=dict)
    last_values: Values = field(default_factory=dict)
    plateau: Plateau = field(default_factory=Plateau)
    has_left: bool = False  # and is still in the stack

    @property
    def is_done(self) -> bool:
        return self.step >= self.settings.epochs or self.is_stopped_early

    @property
    def is_stopped_early(self) -> bool:
        """Return whether `patience` epochs brought no better value of the goal."""
        patience = self.settings.patience
        is_short = self.step < self.settings.epochs
        return is_short and 0 < patience <= self.step - self.best_step


@dataclass(frozen=True, kw_only=True)
class Tensors:
    """All tensors of K lanes that training changes; the first dimension is the lane's."""

    parameters_KD: torch.Tensor
    best_KD: torch.Tensor
    slots: Mapping[str, torch.Tensor]
    buffers: Mapping[str, torch.Tensor]
    best_buffers: Mapping[str, torch.Tensor]

    def in_steps(self) -> Sequence[torch.Tensor]:
        """Return the tensors that steps change, in a fixed order, without the best so far."""
        by_name = (self.slots, self.buffers)
        named = [tensors[name] for tensors in by_name for name in sorted(tensors)]
        return [self.parameters_KD, *named]

    def at(self, index: torch.Tensor | slice) -> "Tensors":
        """Return copies of these lanes' parts; for a slice, the parts themselves."""
        return Tensors(
            parameters_KD=self.parameters_KD[index],
            best_KD=self.best_KD[index],
            slots={name: slot[index] for name, slot in self.slots.items()},
            buffers={name: buffer[index] for name, buffer in self.buffers.items()},
            best_buffers={name: buffer[index] for name, buffer in self.best_buffers.items()},
        )


class Group:
    """The stacked rows of all seats, and the machinery built over them."""

    _built: "_Machinery | None"
    _kept: list[torch.Tensor] | None  # the tensors that steps change, as before an epoch

    def __init__(self, model: Model, lanes: Sequence[Lane], like: torch.Tensor) -> None:
        """Start each lane from its seed; `resume` replaces that. `like` gives device and dtype."""
        assert len({model.key(lane.params) for lane in lanes}) == 1, "lanes of several kinds"
        self.model = model
        self.key = model.key(lanes[0].params)
        self._like = like
        self.seats: list[Seat] = []
        self._set(*_fresh(model, lanes, like))

    @property
    def batch_size(self) -> int:
        return self.seats[0].settings.batch_size

    def admit(self, other: "Group") -> None:
        """Take in the lanes of another group of this key, which is used up."""
        assert self.seats, "an empty group has the rows of those who have left"
        self._set(self.seats + other.seats, _joined(self.tensors, other.tensors))

    def keep(self, kept: Sequence[int]) -> None:
        """Compact the stack: only the seats at these indices stay."""
        if len(kept) == len(self.seats):
            return
        if not kept:
            self.seats = []
            return
        self._built = None  # makes room
        self._set(*self._part(kept))

    def split(self, first: Sequence[int]) -> "Group":
        """Move the seats at these indices to another group."""
        group = self._sibling(*self._part(first))
        self.keep([k for k in range(len(self.seats)) if k not in first])
        return group

    def repeated(self, n_lanes: int) -> "Group":
        """Return a group of so many copies of this one's only lane."""
        index = torch.zeros(n_lanes, dtype=torch.int64, device=self._like.device)
        return self._sibling(self.seats * n_lanes, self.tensors.at(index))

    def _sibling(self, seats: Sequence[Seat], tensors: Tensors) -> "Group":
        """Return a group of this kind with these seats."""
        group = Group.__new__(Group)
        group.model, group.key, group._like = self.model, self.key, self._like
        group._set(seats, tensors)
        return group

    def n_bytes(self) -> int:
        """Return the memory of its tensors, gradients and a snapshot included."""
        tensors = self.tensors
        parts = [tensors.best_KD, *tensors.slots.values(), *tensors.buffers.values()]
        n_rows = sum(part.nbytes for part in parts)
        return 3 * tensors.parameters_KD.nbytes + 2 * n_rows

    def _part(self, kept: Sequence[int]) -> tuple[list[Seat], Tensors]:
        seats = [self.seats[k] for k in kept]
        if list(kept) == list(range(kept[0], kept[0] + len(kept))):
            return seats, self.tensors.at(slice(kept[0], kept[0] + len(kept)))
        return seats, self.tensors.at(torch.tensor(kept, device=self._like.device))

    def _set(self, seats: Sequence[Seat], tensors: Tensors) -> None:
        """Sort the seats in the model's order; the machinery over their rows is rebuilt."""
        ranks = [self.model.rank(seat.lane.params) for seat in seats]
        order = sorted(range(len(seats)), key=ranks.__getitem__)
        if order != list(range(len(seats))):
            tensors = tensors.at(torch.tensor(order, device=self._like.device))
        self.seats, self.tensors = [seats[k] for k in order], tensors
        self.make_room()

    @property
    def _machinery(self) -> "_Machinery":
        """Build the machinery at its first use, in an epoch, which can be undone without memory."""
        if self._built is None:
            with torch.inference_mode(False), torch.no_grad():
                self._built = _Machinery(self.model, self.seats, self.tensors)
        return self._built

    @property
    def stack(self) -> Stack:
        return self._machinery.stack

    def begin_epoch(self, n_steps: int) -> None:
        """Set the learning rates of the epoch's steps."""
        self._machinery.optimizers.begin_epoch(
            [learning_rates(seat.settings, seat.step, n_steps, seat.plateau) for seat in self.seats]
        )

    def smoothed(self, target_SKCB: torch.Tensor) -> torch.Tensor:
        """Return the targets of all lanes, with the label smoothing of those that have one."""
        smoothing = self._machinery.smoothing
        return target_SKCB if smoothing is None else smoothing.of(target_SKCB)

    def update(self) -> None:
        """Take one step of every lane from the present gradients."""
        machinery = self._machinery
        if machinery.penalty is not None:
            machinery.penalty.add()
        if machinery.clip is not None:
            machinery.clip.scale()
        machinery.optimizers.step()

    def note(self, k: int, values: Values, goal: Goal) -> None:
        """Note the values of an epoch of seat k; the best epoch's weights are kept."""
        seat, tensors = self.seats[k], self.tensors
        seat.step += 1
        seat.last_values = values
        if seat.settings.schedule == "plateau":
            seat.plateau = seat.plateau.after(values["val_loss"], seat.settings)
        value = values[goal.metric]
        is_best = not seat.best_step or goal.better(value, seat.best_values[goal.metric])
        if is_best and abs(value) < float("inf"):
            seat.best_step, seat.best_values = seat.step, values
            tensors.best_KD[k].copy_(tensors.parameters_KD[k])
            for name, buffer in tensors.best_buffers.items():
                buffer[k].copy_(tensors.buffers[name][k])

    def snapshot(self) -> None:
        """Copy all that an epoch's steps change, for `restore`."""
        changing = self.tensors.in_steps()
        if self._kept is None:
            self._kept = [tensor.clone() for tensor in changing]
            return
        for kept, tensor in zip(self._kept, changing, strict=True):
            kept.copy_(tensor)

    def make_room(self) -> None:
        """Release memory that the next epoch can rebuild."""
        self._built, self._kept = None, None

    def restore(self) -> None:
        """Return every lane to the snapshot; needs no memory, and releases some."""
        assert self._kept is not None
        for tensor, kept in zip(self.tensors.in_steps(), self._kept, strict=True):
            tensor.copy_(kept)
        self.make_room()

    def state(self, k: int) -> dict[str, Any]:
        """Return seat k as a tree that a checkpoint can hold and `resume` takes.

        Its tensors are views: to be written or copied before training continues.
        """
        seat, tensors = self.seats[k], self.tensors
        by_name = seat.layout.by_name
        return {
            "structure": self.model.structure(seat.lane.params),
            "step": seat.step,
            "weights": by_name(tensors.parameters_KD[k]),
            "buffers": {name: buffer[k] for name, buffer in tensors.buffers.items()},
            "optimizer": {
                name: tensors.slots[name][k] if name == N_STEPS else by_name(tensors.slots[name][k])
                for name in SLOTS[seat.settings.optimizer]
            },
            "best": {
                "step": seat.best_step,
                "values": dict(seat.best_values),
                "weights": by_name(tensors.best_KD[k]),
                "buffers": {name: buffer[k] for name, buffer in tensors.best_buffers.items()},
            },
            "last_values": dict(seat.last_values),
            **({"plateau": asdict(seat.plateau)} if seat.settings.schedule == "plateau" else {}),
        }

    def resume(self, k: int, state: Any) -> None:
        """Return seat k to a former `state`; raises `BadCheckpoint` if it does not fit."""
        seat, tensors = self.seats[k], self.tensors
        wanted = self.model.structure(seat.lane.params)
        try:
            if state["structure"] != wanted:
                raise ValueError(f"it is of {state['structure']!r}, not {wanted!r}")
            seat.layout.fill(tensors.parameters_KD[k], state["weights"])
            seat.layout.fill(tensors.best_KD[k], state["best"]["weights"])
            for name in SLOTS[seat.settings.optimizer]:
                if name == N_STEPS:
                    tensors.slots[name][k] = state["optimizer"][name]
                else:
                    seat.layout.fill(tensors.slots[name][k], state["optimizer"][name])
            for name, buffer in tensors.buffers.items():
                buffer[k].copy_(state["buffers"][name])
                tensors.best_buffers[name][k].copy_(state["best"]["buffers"][name])
            seat.step, seat.best_step = int(state["step"]), int(state["best"]["step"])
            seat.best_values = dict(state["best"]["values"])
            seat.last_values = dict(state["last_values"])
            if seat.settings.schedule == "plateau":
                seat.plateau = _read_plateau(state["plateau"])
        except READING_FAILS as error:
            why = reason_of(error)
            raise BadCheckpoint(f"the checkpoint does not fit this trial: {why}") from error


class _Machinery:
    """The objects that work on the rows of some seats."""

    def __init__(self, model: Model, seats: Sequence[Seat], tensors: Tensors) -> None:
        settings = [seat.settings for seat in seats]
        layouts = [seat.layout for seat in seats]
        parameters_KD = tensors.parameters_KD
        gradients_KD = torch.zeros_like(parameters_KD)
        rest = (parameters_KD, gradients_KD)
        self.optimizers = Optimizers(*rest, tensors.slots, settings, layouts)
        self.penalty: L1Penalty | None = None
        if any(lane.l1 for lane in settings):
            self.penalty = L1Penalty(*rest, settings, layouts)
        self.clip: GradientClip | None = None
        if any(lane.clip_norm for lane in settings):
            self.clip = GradientClip(gradients_KD, settings, layouts)
        self.smoothing: LabelSmoothing | None = None
        if any(lane.label_smoothing for lane in settings):
            shares = [lane.label_smoothing for lane in settings]
            self.smoothing = LabelSmoothing(shares, parameters_KD)
        rows = Rows(
            params=[seat.lane.params for seat in seats],
            seeds=[seat.lane.seed for seat in seats],
            parameters_KD=parameters_KD,
            gradients_KD=gradients_KD,
            buffers=tensors.buffers,
        )
        self.stack = model.stack(rows)


def _read_plateau(state: Mapping[str, Any]) -> Plateau:
    best = None if state["best"] is None else float(state["best"])
    return Plateau(best=best, n_bad=int(state["n_bad"]), factor=float(state["factor"]))


def _fresh(model: Model, lanes: Sequence[Lane], like: torch.Tensor) -> tuple[list[Seat], Tensors]:
    """Create new lanes, each from its seed."""
    seats = [
        Seat(lane=lane, settings=settings_of(lane.params), layout=model.layout(lane.params))
        for lane in lanes
    ]
    params, seeds = [lane.params for lane in lanes], [lane.seed for lane in lanes]
    parameters_KD, buffers = stack_fresh(model, params, seeds, like)
    slots = slots_of([seat.settings.optimizer for seat in seats])
    tensors = Tensors(
        parameters_KD=parameters_KD,
        best_KD=parameters_KD.clone(),
        slots={name: new_slot(name, parameters_KD) for name in slots},
        buffers=buffers,
        best_buffers={name: buffer.clone() for name, buffer in buffers.items()},
    )
    return seats, tensors


def _joined(one: Tensors, other: Tensors) -> Tensors:
    """Return the lanes of both, the rows as wide as the wider ones, with the slots of either."""
    width = max(one.parameters_KD.shape[1], other.parameters_KD.shape[1])

    def join(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.cat([_widened(a, width), _widened(b, width)])

    names = sorted({*one.slots, *other.slots})
    return Tensors(
        parameters_KD=join(one.parameters_KD, other.parameters_KD),
        best_KD=join(one.best_KD, other.best_KD),
        slots={name: join(_slot(one, name), _slot(other, name)) for name in names},
        buffers={n: torch.cat([one.buffers[n], other.buffers[n]]) for n in one.buffers},
        best_buffers={
            n: torch.cat([one.best_buffers[n], other.best_buffers[n]]) for n in one.best_buffers
        },
    )


def _slot(tensors: Tensors, name: str) -> torch.Tensor:
    """Return the slot, or a new one if none of the lanes has an optimizer that uses it."""
    if name in tensors.slots:
        return tensors.slots[name]
    return new_slot(name, tensors.parameters_KD)


def _widened(rows: torch.Tensor, width: int) -> torch.Tensor:
    if rows.dim() == 1:
        return rows  # one number a lane
    return torch.nn.functional.pad(rows, (0, width - rows.shape[1]))
