"""One epoch of a group: every lane trains on all rows in its order, then is validated.

Shapes: K lanes, N rows, F features, C outputs, S steps, B batch, R rows of a block.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from time import perf_counter

import torch

from tuner.study.trial import Values
from tuner.training.augmentation import Augmentation
from tuner.training.data.dataset import Dataset
from tuner.training.device import fitting_threads
from tuner.training.groups.group import Group
from tuner.training.losses.built_in import Loss
from tuner.training.losses.metrics import Metrics
from tuner.training.randomness import row_order

_BLOCK_ELEMENTS = 2**18  # gathered at once: stays within the caches
_MIN_STEPS, _MAX_STEPS = 8, 64  # in a block
_VALIDATION_ROWS = 4096  # at once; the same for every K, so that sums round alike
_VALIDATION_LANES = 16  # at once: more would only move more memory


class Trainer:
    def __init__(self, data: Dataset, loss: Loss, metrics: Metrics, data_seed: int) -> None:
        """Build it; `data_seed` is for the order of the rows, the same for all trials."""
        self._data = data
        self._metrics = metrics
        self._data_seed = data_seed
        targets_NC = loss.targets(data.train.y_N, data.train.weight_N)
        self._targets_NC = targets_NC.to(data.train.like.dtype)
        self._augmentation: Augmentation | None = None
        if data.augment:
            assert data.shape is not None, "only images are changed"
            self._augmentation = Augmentation(data.augment, data.shape, data_seed)

    def epoch(self, group: Group) -> list[Values]:
        """Train and validate every lane for one epoch; return its values per lane.

        `seconds` is each lane's share of the wall time: over lanes they add up to it.
        """
        started = perf_counter()
        one = group.seats[0].lane.params
        with (
            torch.inference_mode(not group.model.uses_autograd),
            fitting_threads(group.model, one),
        ):
            train_losses = self._train(group)
            validation = self._validate(group)
        seconds = (perf_counter() - started) / len(train_losses)
        return [
            {"train_loss": train_loss, **values, "seconds": seconds}
            for train_loss, values in zip(train_losses, validation, strict=True)
        ]

    def _train(self, group: Group) -> list[float]:
        """Take every step of an epoch; return the mean loss of each lane."""
        train = self._data.train
        n_rows, device = train.n_rows, train.like.device
        losses, sizes = [], []
        per_epoch = math.ceil(n_rows / group.batch_size)
        group.begin_epoch(per_epoch)
        epochs = [seat.step for seat in group.seats]
        steps_K = torch.tensor([epoch * per_epoch for epoch in epochs], device=device)
        epochs = epochs[:1] if len(set(epochs)) == 1 else epochs  # they share each gather
        order_KN = self._orders(epochs)
        change = self._augmentation and self._augmentation.epoch(epochs, n_rows, device)
        row_elements = len(order_KN) * (train.x_NF.shape[1] + self._targets_NC.shape[1])
        max_steps = _BLOCK_ELEMENTS // (row_elements * group.batch_size)
        for first, n_steps, batch in _blocks(n_rows, group.batch_size, max_steps):
            index_KR = order_KN[:, first : first + n_steps * batch]
            x_KRF = train.inputs(index_KR)
            batches = (change(x_KRF, first) if change else x_KRF).chunk(n_steps, 1)
            target_KSBC = self._targets_NC[index_KR].view(len(index_KR), n_steps, batch, -1)
            target_SKCB = target_KSBC.permute(1, 0, 3, 2).contiguous()
            target_SKCB = group.smoothed(target_SKCB.expand(-1, len(steps_K), -1, -1))
            first_steps_K = steps_K + first // group.batch_size
            take_steps = group.stack.take_steps
            losses.append(take_steps(batches, target_SKCB, first_steps_K, group.update))
            sizes += [batch] * n_steps
        # fsum: the mean does not depend on how the steps were cut into blocks
        by_lane = zip(*torch.cat(losses).tolist(), strict=True)
        return [_sum(map(math.prod, zip(lane, sizes, strict=True))) / n_rows for lane in by_lane]

    def _orders(self, epochs: Sequence[int]) -> torch.Tensor:
        """Return the rows in the order of each epoch, (K, N)."""
        n_rows, device = self._data.train.n_rows, self._data.train.x_NF.device
        orders = {epoch: row_order(self._data_seed, epoch, n_rows) for epoch in set(epochs)}
        return torch.stack([orders[epoch] for epoch in epochs]).to(device)

    def _validate(self, group: Group) -> list[Values]:
        """Return the metrics of the validation split per lane, without dropout."""
        split, n_lanes = self._data.validation, len(group.seats)
        n_chunks = math.ceil(split.n_rows / _VALIDATION_ROWS)
        places = torch.arange(split.n_rows).chunk(n_chunks)
        chunks = [slice(int(rows[0]), int(rows[-1]) + 1) for rows in places]
        values: list[Values] = []
        for first in range(0, n_lanes, _VALIDATION_LANES):
            last = min(n_lanes, first + _VALIDATION_LANES)
            values += self._metrics.of(
                (group.stack.outputs(split.inputs(rows), first, last), split.y_N[rows])
                for rows in chunks
            )
        return values


def _blocks(n_rows: int, batch_size: int, max_steps: int) -> Iterator[tuple[int, int, int]]:
    """Cut an epoch into runs of equal batches: (first row, steps, rows per step)."""
    n_full, n_left = divmod(n_rows, batch_size)
    max_steps = max(_MIN_STEPS, min(_MAX_STEPS, max_steps))
    for step in range(0, n_full, max_steps):
        yield step * batch_size, min(max_steps, n_full - step), batch_size
    if n_left:
        yield n_full * batch_size, 1, n_left


def _sum(values: Iterable[float]) -> float:
    """Sum with exact rounding, independent of the order; NaN if infinities of both signs meet."""
    try:
        return math.fsum(values)
    except (OverflowError, ValueError):
        return math.nan
