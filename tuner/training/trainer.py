"""The training loop over the lanes of a group. Read it from `train` down.

Shapes: K lanes, N rows, F features, C outputs, S steps, B batch, M sums.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter

import torch

from tuner.messages import How
from tuner.study.trial import Values
from tuner.training.checkpoint import load_checkpoint
from tuner.training.data import TrainingData
from tuner.training.group import Group, Seat
from tuner.training.lane import Lane, Verdict
from tuner.training.losses import loss_of
from tuner.training.metrics import metrics_of
from tuner.training.randomness import row_order

_VALIDATION_CHUNK = 4096  # rows; the same for every K, so that sums round alike
_ENDS = {Verdict.PRUNE: How.PRUNED, Verdict.RELEASE: How.RELEASED, Verdict.DROP: How.DROPPED}


@dataclass(frozen=True, kw_only=True)
class Departure:
    """How a lane left its group."""

    lane: Lane
    how: How
    step: int  # epochs trained
    last_values: Values
    best_step: int  # 0: no epoch had a finite value of the objective
    best_values: Values


@torch.inference_mode()
def train(
    lanes: Sequence[Lane], data: TrainingData, *, data_seed: int, metric: str, minimize: bool
) -> Iterator[Departure]:
    """Train lanes of one structure to their ends, yielding each as it leaves.

    After every epoch all lanes report, all save, then all are asked for their verdicts. The best
    epoch is the one with the best `metric`; its weights are kept in the checkpoint.
    Raises `BadCheckpoint` when a lane's checkpoint cannot be used.
    """
    group = Group(lanes, data)
    for k, lane in enumerate(lanes):
        if lane.checkpoint is not None:
            group.resume(k, load_checkpoint(Path(lane.checkpoint)))
    trainer = _Trainer(group, data, data_seed)
    yield from _leave(group, {k: How.COMPLETE for k, s in enumerate(group.seats) if s.is_done})
    while group.seats:
        for k, values in enumerate(trainer.epoch()):
            group.note(k, values, metric=metric, minimize=minimize)
        for seat in group.seats:
            seat.lane.report(seat.step, seat.last_values)
        ends = _ends_without_question(group.seats, metric)
        asked = [k for k in range(len(group.seats)) if k not in ends]
        for k in asked:
            _save(group, k)
        yield from _leave(group, ends | _verdicts(group, asked))


def _ends_without_question(seats: Sequence[Seat], metric: str) -> dict[int, How]:
    """The seats that leave whatever anybody says, by index."""
    ends = {}
    for k, seat in enumerate(seats):
        watched = (seat.last_values[name] for name in ("train_loss", "val_loss", metric))
        if not all(map(math.isfinite, watched)):
            ends[k] = How.NON_FINITE
        elif seat.is_done:
            ends[k] = How.COMPLETE
    return ends


def _verdicts(group: Group, asked: Sequence[int]) -> dict[int, How]:
    """Ask these seats; whoever is released has saved before it leaves."""
    ends = {}
    for k in asked:
        verdict = group.seats[k].lane.verdict()
        if verdict is Verdict.RELEASE:
            _save(group, k)
        if verdict is not Verdict.GO_ON:
            ends[k] = _ENDS[verdict]
    return ends


def _save(group: Group, k: int) -> None:
    seat = group.seats[k]
    seat.lane.save(seat.step, partial(group.state, k))


def _leave(group: Group, ends: dict[int, How]) -> Iterator[Departure]:
    """Compact the stack, then tell who left."""
    departures = [_departure(group.seats[k], how) for k, how in sorted(ends.items())]
    group.keep([k for k in range(len(group.seats)) if k not in ends])
    yield from departures


def _departure(seat: Seat, how: How) -> Departure:
    return Departure(
        lane=seat.lane,
        how=how,
        step=seat.step,
        last_values=seat.last_values,
        best_step=seat.best_step,
        best_values=seat.best_values,
    )


class _Trainer:
    """One epoch after the other over a group and its data."""

    def __init__(self, group: Group, data: TrainingData, data_seed: int) -> None:
        self._group = group
        self._data = data
        self._data_seed = data_seed
        self._loss = loss_of(data)
        self._metrics = metrics_of(data)
        self._targets_NC = self._loss.targets(data.train.y_N).to(data.train.x_NF.dtype)

    def epoch(self) -> list[Values]:
        """Train and validate every lane for one epoch; its values per lane.

        `seconds` is each lane's share of the wall time: over lanes they add up to it.
        """
        started = perf_counter()
        train_losses = self._train()
        validation = self._validate()
        seconds = (perf_counter() - started) / len(train_losses)
        return [
            {"train_loss": train_loss, **values, "seconds": seconds}
            for train_loss, values in zip(train_losses, validation, strict=True)
        ]

    def _train(self) -> list[float]:
        """Take every step of an epoch; the mean loss of each lane."""
        group = self._group
        x_KNF, target_KNC = self._rows_in_order()
        n_rows, losses, sizes = x_KNF.shape[1], [], []
        per_epoch = math.ceil(n_rows / group.batch_size)
        steps_K = torch.tensor([s.step * per_epoch for s in group.seats], device=x_KNF.device)
        for first, n_steps, batch in _blocks(n_rows, group.batch_size, group.block_steps()):
            rows = slice(first, first + n_steps * batch)
            x_KRF, target_KRC = x_KNF[:, rows], target_KNC[:, rows]
            target_SKBC = torch.stack(target_KRC.chunk(n_steps, 1))
            first_steps_K = steps_K + first // group.batch_size
            losses.append(self._take_steps(x_KRF.chunk(n_steps, 1), target_SKBC, first_steps_K))
            sizes += [batch] * n_steps
        # fsum: the mean does not depend on how the steps were cut into blocks
        by_lane = zip(*torch.cat(losses).tolist(), strict=True)
        return [_sum(map(math.prod, zip(lane, sizes, strict=True))) / n_rows for lane in by_lane]

    def _take_steps(
        self,
        batches: Sequence[torch.Tensor],
        target_SKBC: torch.Tensor,
        first_steps_K: torch.Tensor,
    ) -> torch.Tensor:
        """Take one step per batch (K, B, F); the mean losses (S, K)."""
        model, optimizer, penalty = self._group.model, self._group.optimizer, self._group.penalty
        n_steps, _, batch, _ = target_SKBC.shape
        block = self._group.block(n_steps, batch)
        block.draw_masks(first_steps_K)
        buffers, d_output_KBC, loss = block.buffers, block.buffers.d_output, self._loss
        steps = zip(batches, target_SKBC.unbind(0), block.masks, block.kept, strict=True)
        for x_KBF, target_KBC, masks, kept_KBC in steps:
            output_KBC = model.forward(x_KBF, masks, buffers)
            loss.gradient(output_KBC, target_KBC, kept=kept_KBC, out=d_output_KBC)
            model.backward(x_KBF, masks, buffers)
            if penalty is not None:
                penalty.add()
            optimizer.step()
        return loss.of_steps(block.kept_SKBC, target_SKBC)

    def _rows_in_order(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Features and targets (K, N, ...) in the order of each lane's epoch.

        Lanes at the same epoch share one gather; lanes of different age gather for themselves.
        """
        x_NF, n_lanes = self._data.train.x_NF, len(self._group.seats)
        epochs = [seat.step for seat in self._group.seats]
        epochs = epochs[:1] if len(set(epochs)) == 1 else epochs
        orders = {e: row_order(self._data_seed, e, len(x_NF)) for e in set(epochs)}
        index = torch.cat([orders[e] for e in epochs]).to(x_NF.device)
        x_KNF, target_KNC = (
            rows[index].view(len(epochs), *rows.shape).expand(n_lanes, -1, -1)
            for rows in (x_NF, self._targets_NC)
        )
        return x_KNF, target_KNC

    def _validate(self) -> list[Values]:
        """The metrics of the validation split per lane, without dropout."""
        model, split = self._group.model, self._data.validation
        totals_KM: torch.Tensor | None = None
        n_chunks = math.ceil(split.n_rows / _VALIDATION_CHUNK)
        for x_BF, y_B in zip(split.x_NF.chunk(n_chunks), split.y_N.chunk(n_chunks), strict=True):
            x_KBF = x_BF.expand(model.n_lanes, -1, -1)
            output_KBC = model.forward(x_KBF, (), model.buffers(len(x_BF)))
            sums_KM = self._metrics.sums(output_KBC, y_B)
            totals_KM = sums_KM if totals_KM is None else totals_KM + sums_KM
        assert totals_KM is not None, "an empty validation split"
        return [self._metrics.values(totals, split.n_rows) for totals in totals_KM.tolist()]


def _blocks(n_rows: int, batch_size: int, most_steps: int) -> Iterator[tuple[int, int, int]]:
    """Cut an epoch into runs of equal batches: (first row, steps, rows per step)."""
    n_full, n_left = divmod(n_rows, batch_size)
    for step in range(0, n_full, most_steps):
        yield step * batch_size, min(most_steps, n_full - step), batch_size
    if n_left:
        yield n_full * batch_size, 1, n_left


def _sum(values: Iterable[float]) -> float:
    """Exactly rounded, hence independent of the order; NaN if infinities of both signs meet."""
    try:
        return math.fsum(values)
    except (OverflowError, ValueError):
        return math.nan
