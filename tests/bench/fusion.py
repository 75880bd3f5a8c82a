"""Fused groups against trials one after the other: shapes x lanes, in one process, in turn.

What is measured: one epoch of one trial, as a whole. On both sides it shuffles the rows, takes
every step (gather, forward, loss, backward, Adam), sums the training loss and validates on a
small split; ours also calls `report`, `save` and `verdict` of every lane and copies what a broken
epoch would need. It is not measured how long a process or a group takes to start, nor anybody's
first epoch. Ours are turns of `groups.Groups`, what a worker runs, divided by the number of lanes.

Each round measures every cell of a shape, so that all see the same machine; the table has medians
over the rounds, of times and of the ratios within a round. On a CPU the clock is the CPU time of
the process, which runs one thread: on an idle machine that is the wall time, on a busy one the
others' share is not counted.

usage: python -m tests.bench.fusion [--quick] [--rounds 15] [--shapes 32/2/16 ...]
           [--lanes 1 4 ...] [--modules 16 ...] [--mixed]
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from tests.bench.fused import (
    RATE,
    enough_epochs,
    epoch_seconds,
    fused_epoch,
    hardware,
    measured_lanes,
    random_data,
)
from tests.bench.fusion_gpu import gpu_table
from tests.bench.mixed_shapes import mixed
from tests.bench.sequential import best_epoch, loader_epoch, mlp
from tuner.training.data.dataset import Dataset

AUTO = "auto"  # as many lanes as a worker's own measurement chooses


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A model and how it is fed."""

    width: int
    depth: int
    batch: int
    target: float | None = None  # the factor that the design asks for

    @property
    def name(self) -> str:
        return f"{self.width}/{self.depth}/{self.batch}"


SHAPES = (
    Shape(width=32, depth=2, batch=16, target=17.0),
    Shape(width=32, depth=2, batch=64, target=8.0),
    Shape(width=128, depth=2, batch=16, target=5.5),
    Shape(width=128, depth=2, batch=64, target=2.7),
    Shape(width=128, depth=4, batch=64),
    Shape(width=512, depth=2, batch=64),
)


@dataclass(kw_only=True)
class Cells:
    """One shape: seconds of one trial-epoch in every round, by way of training."""

    shape: Shape
    n_steps: int  # of an epoch
    n_auto: int  # the lanes of "auto"
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def microseconds(self, way: str) -> float:
        """Of a trial-step, its share of validation included."""
        return 1e6 * statistics.median(self.seconds[way]) / self.n_steps

    def factor(self, way: str) -> float:
        """How much faster than the best loop; the median of the ratios of each round."""
        pairs = zip(self.seconds["best loop"], self.seconds[way], strict=True)
        return statistics.median(loop / ours for loop, ours in pairs)


def measure(
    shape: Shape, data: Dataset, lanes: Sequence[int], options: argparse.Namespace
) -> Cells:
    """All cells of a shape, round after round."""
    modules = options.modules
    params = {"width": shape.width, "n_layers": shape.depth, "batch_size": shape.batch}
    n_measured = statistics.median_low(measured_lanes(params, data) for _ in range(3))
    cells = Cells(shape=shape, n_steps=-(-data.train.n_rows // shape.batch), n_auto=n_measured)

    def build(width: int, n_layers: int) -> torch.nn.Module:
        return mlp(data.n_features, data.n_outputs, width=width, depth=n_layers)

    def model() -> torch.nn.Module:
        return build(shape.width, shape.depth)

    ways: dict[str, tuple[Callable[[], object], int]] = {
        "DataLoader": (loader_epoch(model(), data, shape.batch, RATE), 1),
        "best loop": (best_epoch(model(), data, shape.batch, RATE), 1),
        **{f"k={k}": (fused_epoch([params] * k, data), k) for k in lanes},
        **{f"module, k={k}": (fused_epoch([params] * k, data, build=build), k) for k in modules},
        AUTO: (fused_epoch([params] * n_measured, data), n_measured),
    }
    n_epochs = {name: enough_epochs(epoch) for name, (epoch, _) in ways.items()}
    for _ in range(options.rounds):
        for name, (epoch, k) in ways.items():
            seconds = epoch_seconds(epoch, n_epochs[name], time.process_time) / k
            cells.seconds.setdefault(name, []).append(seconds)
    return cells


def render(rows: Sequence[Cells]) -> str:
    """Markdown: microseconds of a trial-step and, in brackets, the factor over the best loop."""
    ways = [way for way in rows[0].seconds if way != AUTO]
    lines = [
        "| width/depth/batch | " + " | ".join(ways) + " | auto | target |",
        "|---" * (len(ways) + 3) + "|",
    ]
    for row in rows:
        target = row.shape.target
        is_met = row.factor(AUTO) >= (1.0 if target is None else target)
        wanted = "never slower" if target is None else f"{target:g}x"
        texts = [_cell(row, way) for way in ways]
        texts.append(f"k={row.n_auto}: {_cell(row, AUTO)}")
        texts.append(f"{wanted}: {'met' if is_met else 'MISSED'}")
        lines.append(f"| {row.shape.name} | " + " | ".join(texts) + " |")
    return "\n".join(lines)


def _cell(row: Cells, way: str) -> str:
    factor = "" if way == "best loop" else f" ({row.factor(way):.1f}x)"
    return f"{row.microseconds(way):.0f}{factor}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="5 rounds over fewer rows")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--shapes", nargs="*", default=[shape.name for shape in SHAPES])
    parser.add_argument("--lanes", nargs="*", type=int, default=[1, 4, 16, 64])
    parser.add_argument(
        "--modules", nargs="*", type=int, default=[16], help="lanes of a user's module (vmap)"
    )
    parser.add_argument("--mixed", action="store_true", help="only 64 random configurations")
    options = parser.parse_args()
    n_rows = 1280
    if options.quick:
        options.rounds, n_rows = 5, 640
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(hardware())
    if options.mixed:
        print(mixed(options.rounds))
        return
    print(f"{n_rows} rows of 64 features, 10 classes, Adam, float32; microseconds of a trial-step")
    rows = []
    for shape in SHAPES:
        if shape.name in options.shapes:
            rows.append(measure(shape, random_data(n_rows), options.lanes, options))
            print(".", end="", flush=True)
    print("\n" + render(rows))
    print("\n" + gpu_table(options.rounds))


if __name__ == "__main__":
    main()
