"""Lanes of the convolutional network at once, next to each alone: does a grouped convolution pay?

    python -m tests.bench.cnn [--rounds 5]

The table has the CPU time of an epoch of one lane alone, an ordinary module, divided by that of one
lane of k at once. A worker measures the same before it chooses (`training/groups/sizes.py`): where
the ratio is below 1, lanes train alone.
"""

import argparse
import statistics
import time
from dataclasses import replace
from functools import partial

import torch

from tests.bench.fused import enough_epochs, epoch_seconds, fused_epoch, hardware, random_data
from tuner.training.cnn.module import cnn_module

SHAPES = {"8 x 8 x 1": (1, 8, 8), "28 x 28 x 1": (1, 28, 28), "32 x 32 x 3": (3, 32, 32)}
LANES = (4, 16)
N_ROWS = 512


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    print(f"{hardware()}\n")
    print(f"| image | channels | batch | {' | '.join(f'{k} at once' for k in LANES)} |")
    print(f"|---|---|---|{'---|' * len(LANES)}")
    for name, shape in SHAPES.items():
        for channels in (4, 16):
            for batch in (16, 64):
                cells = [f"{each:.2f}" for each in _ratios(shape, channels, batch, rounds)]
                print(f"| {name} | {channels} | {batch} | {' | '.join(cells)} |", flush=True)


def _ratios(shape: tuple[int, int, int], channels: int, batch: int, rounds: int) -> list[float]:
    """By number of lanes: the median over rounds, in which both ways take turns."""
    data = replace(random_data(N_ROWS, shape[0] * shape[1] * shape[2]), shape=shape)
    build = partial(cnn_module, shape=shape, channels=channels)
    params = {"batch_size": batch, "n_layers": 2, "width": 32}
    ways = {k: fused_epoch([params] * k, data, k, build, is_plain=k == 1) for k in (1, *LANES)}
    numbers = {k: enough_epochs(epoch) for k, epoch in ways.items()}
    seconds: dict[int, list[float]] = {k: [] for k in ways}
    for _ in range(rounds):
        for k, epoch in ways.items():
            seconds[k].append(epoch_seconds(epoch, numbers[k], time.process_time) / k)
    alone = seconds[1]
    return [statistics.median(a / b for a, b in zip(alone, seconds[k], strict=True)) for k in LANES]


if __name__ == "__main__":
    main()
