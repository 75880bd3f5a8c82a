"""All groups of a device: their lanes and turns. Read it from `train` down."""

import math
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from tuner.study.goal import Goal
from tuner.study.trial import Values
from tuner.study.verdict import Outcome, Verdict
from tuner.training.checkpoint import load_checkpoint
from tuner.training.checkpoint_file import BadCheckpoint
from tuner.training.data.dataset import Dataset
from tuner.training.fatal_errors import exits_are_errors, is_out_of_memory
from tuner.training.groups.group import Group, Seat
from tuner.training.groups.sizes import Sizes
from tuner.training.groups.trainer import Trainer
from tuner.training.lane import Lane, LaneFailed
from tuner.training.losses.built_in import Loss
from tuner.training.losses.metrics import Metrics
from tuner.training.model import Model


@dataclass(frozen=True, kw_only=True)
class Departure:
    """The exit of a lane from its group."""

    lane: Lane
    how: Outcome
    step: int  # epochs trained
    last_values: Values
    best_step: int  # 0: no epoch had a finite value of the objective
    best_values: Values
    is_early: bool  # COMPLETE before its last epoch, without a better value for its patience


class Groups:
    """Groups that take turns, an epoch each.

    At a group's turn, its lanes get their verdicts on the previous epoch and leave or stay, new
    lanes join, then all train for one epoch, report and save. So the agent has the other groups'
    turns for its verdicts, and a pruned lane is replaced at once.
    """

    def __init__(
        self,
        model: Model,
        data: Dataset,
        loss: Loss,
        *,
        data_seed: int,
        goal: Goal,
        sizes: Sizes,
        metrics: Metrics | None = None,
    ) -> None:
        """Build it; without `metrics`, each lane reports the usual ones of the task."""
        self._model = model
        self._like = data.train.like
        self._trainer = Trainer(data, loss, metrics or Metrics(data, loss), data_seed)
        self._goal = goal
        self._sizes = sizes
        self._groups: deque[Group] = deque()  # the first one's turn is next
        self._new: list[Lane] = []
        self._failed: list[LaneFailed] = []
        self._n_turns = 0

    @property
    def lanes(self) -> list[Lane]:
        """Return all lanes, the new ones last."""
        seats = (seat for group in self._groups for seat in group.seats)
        return [seat.lane for seat in seats if not seat.has_left] + self._new

    def admit(self, lanes: Sequence[Lane]) -> None:
        """Add lanes, which join at the next turn."""
        for lane in lanes:
            self._sizes.learn(self._model, lane.params, lane.seed)
        self._new += lanes

    def room(self) -> int:
        """Return how many more lanes would train at little extra cost."""
        held = Counter(self._model.key(lane.params) for lane in self._new)
        for group in self._groups:
            held[group.key] += sum(not seat.has_left for seat in group.seats)
        return self._sizes.room(+held)

    @torch.no_grad()
    def turn(self) -> Iterator[Departure]:
        """Run one group's turn if there is a group; yield each lane that leaves.

        Raises `LaneFailed` for a lane that cannot be resumed or that breaks its model when it
        trains alone. It has left then, and the others are as they were.
        """
        yield from self._seat_new()
        if self._failed:
            raise self._failed.pop(0)
        if not self._groups:
            return
        group = self._take_next()
        yield from self._hear_verdicts(group)
        if not group.seats:
            return  # nothing may join it: the rows are still those of who has left
        yield from self._merge_into(group)
        values = self._train(group)
        if values is None:
            return
        self._groups.append(group)
        for k, lane_values in enumerate(values):
            group.note(k, lane_values, self._goal)
        for seat in group.seats:
            seat.lane.report(seat.step, seat.last_values, is_last=seat.is_done)
        yield from self._end(group, _ends_without_question(group.seats, self._goal.metric))
        for k, seat in enumerate(group.seats):
            if not seat.has_left:
                _save(group, k)

    def _take_next(self) -> Group:
        """Take the groups in turn, but every other turn the one with the most advanced lane.

        Otherwise the first trial would be COMPLETE only after as many rounds as it has epochs,
        while trials that are about to be pruned take their turns.
        """
        self._n_turns += 1
        if self._n_turns % 2:
            return self._groups.popleft()
        ahead = max(self._groups, key=lambda group: max(seat.step for seat in group.seats))
        self._groups.remove(ahead)
        return ahead

    def _seat_new(self) -> Iterator[Departure]:
        """Put new lanes of one key together; at its turn a group takes in as many as fit."""
        while self._new:
            key = self._model.key(self._new[0].params)
            alike = [lane for lane in self._new if self._model.key(lane.params) == key]
            lanes = alike[: self._sizes.of(key)]
            self._new = [lane for lane in self._new if lane not in lanes]
            try:
                with exits_are_errors():
                    group = Group(self._model, lanes, self._like)
            except Exception as error:
                if len(lanes) == 1:
                    raise LaneFailed(lanes[0]) from error
                self._sizes.shrink(key, len(lanes), error)
                self._new = lanes + self._new
                continue
            self._groups.append(group)
            for k, seat in enumerate(group.seats):
                if seat.lane.checkpoint is not None:
                    self._resume(group, k)
            done = {k: Outcome.COMPLETE for k, seat in enumerate(group.seats) if seat.is_done}
            yield from self._end(group, done)

    def _resume(self, group: Group, k: int) -> None:
        lane = group.seats[k].lane
        assert lane.checkpoint is not None
        try:
            group.resume(k, load_checkpoint(Path(lane.checkpoint)))
        except BadCheckpoint as error:
            group.seats[k].has_left = True
            failed = LaneFailed(lane)
            failed.__cause__ = error
            self._failed.append(failed)  # raised once the others are in their groups

    def _hear_verdicts(self, group: Group) -> Iterator[Departure]:
        """Apply the verdicts and compact the stack; released lanes save before they leave."""
        ends = {}
        for k, seat in enumerate(group.seats):
            if seat.has_left:
                continue
            verdict = seat.lane.verdict()
            if verdict is Verdict.RELEASE:
                _save(group, k)
            if verdict is not Verdict.CONTINUE:
                ends[k] = verdict.outcome
        yield from self._end(group, ends)
        group.keep([k for k, seat in enumerate(group.seats) if not seat.has_left])

    def _merge_into(self, group: Group) -> Iterator[Departure]:
        """Take in groups of the same key that fit: new lanes, and remainders of others."""
        size = self._sizes.of(group.key)
        for other in [other for other in self._groups if other.key == group.key]:
            if len(group.seats) + len(other.seats) > size:
                continue
            yield from self._hear_verdicts(other)
            if other not in self._groups:
                continue  # all of its lanes have left
            try:
                group.admit(other)
            except Exception as error:
                self._sizes.shrink(group.key, len(group.seats) + len(other.seats), error)
                return
            self._groups.remove(other)

    def _train(self, group: Group) -> list[Values] | None:
        """Return an epoch's values per lane; None if the group was too large and is split up."""
        if len(group.seats) == 1:
            return self._train_alone(group)
        is_kept = False
        try:
            group.snapshot()
            is_kept = True
            return self._epoch(group)
        except Exception as error:
            self._sizes.shrink(group.key, len(group.seats), error)
        if is_kept:
            group.restore()
        size = self._sizes.of(group.key)
        while len(group.seats) > size:
            self._groups.append(group.split(range(size)))
        self._groups.append(group)
        return None

    def _epoch(self, group: Group) -> list[Values]:
        with exits_are_errors():
            return self._trainer.epoch(group)

    def _train_alone(self, group: Group) -> list[Values]:
        """Train with the memory that the other groups can release and rebuild."""
        (seat,) = group.seats
        has_others = bool(self._groups)
        if has_others:
            group.snapshot()
        try:
            return self._epoch(group)
        except Exception as error:
            if not (has_others and is_out_of_memory(error)):
                raise LaneFailed(seat.lane) from error
        for other in self._groups:
            other.make_room()
        group.restore()
        try:
            return self._epoch(group)
        except Exception as error:
            raise LaneFailed(seat.lane) from error

    def _end(self, group: Group, ends: dict[int, Outcome]) -> Iterator[Departure]:
        """End lanes; the stack is compacted at the group's next turn."""
        for k, how in ends.items():
            seat = group.seats[k]
            if how is Outcome.COMPLETE:
                seat.lane.keep(seat.best_values[self._goal.metric], partial(group.state, k))
            seat.has_left = True
        if all(seat.has_left for seat in group.seats) and group in self._groups:
            self._groups.remove(group)
        for k, how in sorted(ends.items()):
            yield _departure(group.seats[k], how)


def train(groups: Groups, lanes: Sequence[Lane]) -> Iterator[Departure]:
    """Train lanes to their ends, yielding each as it leaves; raises `LaneFailed`."""
    groups.admit(lanes)
    while groups.lanes:
        yield from groups.turn()


def _ends_without_question(seats: Sequence[Seat], metric: str) -> dict[int, Outcome]:
    """Return the seats that leave in spite of any verdict, by index."""
    ends = {}
    for k, seat in enumerate(seats):
        watched = (seat.last_values[name] for name in ("train_loss", "val_loss", metric))
        if not all(map(math.isfinite, watched)):
            ends[k] = Outcome.NON_FINITE
        elif seat.is_done:
            ends[k] = Outcome.COMPLETE
    return ends


def _save(group: Group, k: int) -> None:
    seat = group.seats[k]
    seat.lane.save(seat.step, partial(group.state, k))


def _departure(seat: Seat, how: Outcome) -> Departure:
    return Departure(
        lane=seat.lane,
        how=how,
        step=seat.step,
        last_values=seat.last_values,
        best_step=seat.best_step,
        best_values=seat.best_values,
        is_early=how is Outcome.COMPLETE and seat.is_stopped_early,
    )
