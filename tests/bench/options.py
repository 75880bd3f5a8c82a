"""What a training option costs a step, next to the same lanes without it.

16 lanes of width 128 and batches of 64, all with the option. `python -m tests.bench.options`
prints a table: medians over rounds, in which the options take turns with the plain lanes.
"""

import statistics
import time
from collections.abc import Mapping

import torch

from tests.bench.fused import enough_epochs, epoch_seconds, fused_epoch, hardware, random_data
from tuner.study.trial import Params

N_LANES, N_ROWS, BATCH = 16, 1280, 64
SHAPE: Params = {"width": 128, "batch_size": BATCH}
SGD: Params = {"optimizer": "sgd"}
# by option: the params with it, and those of the lanes to compare with
OPTIONS: Mapping[str, tuple[Params, Params]] = {
    "nothing (noise)": ({}, {}),
    "nesterov": ({**SGD, "nesterov": True}, SGD),
    "beta1, beta2": ({"beta1": 0.8, "beta2": 0.99}, {}),
    "rmsprop instead of adam": ({"optimizer": "rmsprop"}, {}),
    "schedule: cosine": ({"schedule": "cosine"}, {}),
    "schedule: plateau": ({"schedule": "plateau"}, {}),
    "schedule: one_cycle": ({"schedule": "one_cycle"}, {}),
    "warmup": ({"warmup": 1e6}, {}),
    "clip_norm": ({"clip_norm": 1.0}, {}),
    "label_smoothing": ({"label_smoothing": 0.1}, {}),
}


def table(rounds: int) -> str:
    """The table; process time, so that other programs count less."""
    data = random_data(N_ROWS)
    lines = ["| option | ms per step with it | without | ratio |", "|---|---|---|---|"]
    for name, (given, plain) in OPTIONS.items():
        pair = [fused_epoch([{**SHAPE, **params}] * N_LANES, data) for params in (given, plain)]
        n_epochs = max(enough_epochs(epoch) for epoch in pair)
        seconds: list[list[float]] = [[], []]
        for _ in range(rounds):
            for epoch, times in zip(pair, seconds, strict=True):
                times.append(epoch_seconds(epoch, n_epochs, time.process_time))
        ratio = statistics.median(a / b for a, b in zip(*seconds, strict=True))
        ms = [1000 * statistics.median(times) / (N_ROWS / BATCH) for times in seconds]
        lines.append(f"| {name} | {ms[0]:.2f} | {ms[1]:.2f} | {ratio:.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(hardware())
    print(table(rounds=31))
