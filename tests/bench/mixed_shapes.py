"""64 random configurations of different shapes, one epoch each: how should they be grouped?

Batch size, width and depth are drawn from {16, 32, 64}, {16, 32, 64, 128} and 1 to 4, as a search
over the digits would; the optimizer and the rest are the same. Milliseconds for all 64.
"""

import random
import statistics
import time
from collections.abc import Callable

import torch

from tests.bench.fused import RATE, epoch_seconds, fused_epoch, random_data
from tests.bench.sequential import best_epoch, mlp
from tuner.study.trial import Params
from tuner.training.data.dataset import Dataset

N_CONFIGURATIONS = 64
N_ROWS = 1257  # those of the digits

Epoch = Callable[[], object]


def draw(n: int, seed: int) -> list[Params]:
    """Random configurations."""
    generator = random.Random(seed)
    return [
        {
            "batch_size": generator.choice([16, 32, 64]),
            "width": generator.choice([16, 32, 64, 128]),
            "n_layers": generator.randint(1, 4),
        }
        for _ in range(n)
    ]


def ways_of(configurations: list[Params], data: Dataset) -> dict[str, tuple[Epoch, int]]:
    """The ways to train them, each with its number of groups."""
    by_class: dict[tuple[object, ...], list[Params]] = {}
    for params in configurations:
        by_class.setdefault(tuple(params.values()), []).append(params)
    n_kinds = len({(params["batch_size"], params["width"]) for params in configurations})
    modules = [_module(params, data) for params in configurations]
    classes = [fused_epoch(alike, data) for alike in by_class.values()]
    return {
        "one by one, modules": (lambda: [epoch() for epoch in modules], len(configurations)),
        "one by one, lean": (fused_epoch(configurations, data, 1), len(configurations)),
        "by exact class": (lambda: [epoch() for epoch in classes], len(classes)),
        "by batch size and width, depth as a prefix": (fused_epoch(configurations, data), n_kinds),
    }


def _module(params: Params, data: Dataset) -> Epoch:
    width, depth, batch = (int(str(params[name])) for name in ("width", "n_layers", "batch_size"))
    model: torch.nn.Module = mlp(data.n_features, data.n_outputs, width=width, depth=depth)
    return best_epoch(model, data, batch, RATE)


def mixed(rounds: int) -> str:
    """The table; medians over the rounds."""
    ways = ways_of(draw(N_CONFIGURATIONS, 0), random_data(N_ROWS))
    for epoch, _ in ways.values():
        epoch()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, (epoch, _) in ways.items():
            seconds[name].append(epoch_seconds(epoch, 1, time.process_time))
    first = seconds["one by one, modules"]
    lines = [
        "| 64 configurations | groups | ms for an epoch of all | factor |",
        "|---|---|---|---|",
    ]
    for name, (_, n_groups) in ways.items():
        factor = statistics.median(a / b for a, b in zip(first, seconds[name], strict=True))
        took = 1000 * statistics.median(seconds[name])
        lines.append(f"| {name} | {n_groups} | {took:.0f} | {factor:.1f}x |")
    return "\n".join(lines)
