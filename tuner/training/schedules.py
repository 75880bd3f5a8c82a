"""Learning rates over a training: a schedule by epoch or by batch, times a warm-up by batch.

The rates are those of torch.optim.lr_scheduler (CosineAnnealingLR, StepLR, OneCycleLR without a
cycle of the momentum, ReduceLROnPlateau); the warm-up is its LambdaLR, which grows in a line.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tuner.training.settings import Settings

# As the defaults of torch's OneCycleLR: the share of the steps that grow, and the divisors of the
# peak at the start and, from there, at the end.
_GROWING_SHARE, _START_DIVISOR, _END_DIVISOR = 0.3, 25.0, 1e4
# As the defaults of torch's ReduceLROnPlateau: a loss is better if it falls by this share, and no
# smaller change of the learning rate is made.
_BETTER_SHARE, _MIN_CHANGE = 1e-4, 1e-8


@dataclass(frozen=True, kw_only=True)
class Plateau:
    """The state of `schedule: plateau` after some epochs; the other schedules have none."""

    best: float | None = None  # val_loss
    n_bad: int = 0  # epochs since then, or since the last reduction
    factor: float = 1.0  # of the learning rate

    def after(self, val_loss: float, lane: Settings) -> "Plateau":
        """Return the state after one more epoch."""
        if self.best is None or val_loss < self.best * (1 - _BETTER_SHARE):
            return Plateau(best=val_loss, factor=self.factor)
        if self.n_bad < lane.plateau_patience:
            return Plateau(best=self.best, n_bad=self.n_bad + 1, factor=self.factor)
        change = lane.learning_rate * self.factor * (1 - lane.plateau_factor)
        factor = self.factor * (lane.plateau_factor if change > _MIN_CHANGE else 1.0)
        return Plateau(best=self.best, factor=factor)


def learning_rates(
    lane: Settings, epoch: int, n_steps: int, plateau: Plateau
) -> Sequence[float] | None:
    """Return the rate of each step of an epoch (from 0); None for `learning_rate` in all."""
    if lane.schedule == "constant" and epoch >= lane.warmup:
        return None
    steps = range(epoch * n_steps, (epoch + 1) * n_steps)
    if lane.schedule == "one_cycle":
        rates = [_one_cycle(lane.learning_rate, step, lane.epochs * n_steps) for step in steps]
    else:
        rates = [lane.learning_rate * _factor(lane, epoch, plateau)] * n_steps
    if epoch >= lane.warmup:
        return rates
    n_warm = lane.warmup * n_steps
    return [rate * min(1.0, (step + 1) / n_warm) for step, rate in zip(steps, rates, strict=True)]


def _factor(lane: Settings, epoch: int, plateau: Plateau) -> float:
    match lane.schedule:
        case "cosine":
            return (1 + math.cos(math.pi * epoch / lane.epochs)) / 2
        case "step":
            return float(lane.step_factor ** (epoch // lane.step_every))
        case "plateau":
            return plateau.factor
        case _:
            return 1.0


def _one_cycle(peak: float, step: int, n_total: int) -> float:
    """Return the rate of a step: half a cosine up, then half a cosine down."""
    top, last = _GROWING_SHARE * n_total - 1, n_total - 1
    start = peak / _START_DIVISOR
    if step <= top:
        return _between(start, peak, step / top)
    return _between(peak, start / _END_DIVISOR, (step - top) / (last - top))


def _between(first: float, last: float, share: float) -> float:
    return last + (first - last) / 2 * (1 + math.cos(math.pi * share))
