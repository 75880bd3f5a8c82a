"""Fused groups against trials one after the other: shapes x lanes, in one process, in turn.

What is measured: one epoch of one trial, as a whole. On both sides it shuffles the rows, takes
every step (gather, forward, loss, backward, Adam), sums the training loss and validates on a
small split; ours also calls `report`, `save` and `verdict` of every lane. It is not measured how
long a process or a group takes to start, nor anybody's first epoch. Ours is `trainer.train` with
lanes that store nothing, timed from report to report, divided by the number of lanes.

Each round measures every cell of a shape, so that all see the same machine; the table has medians
over the rounds. On a CPU the clock is the CPU time of the process, which runs one thread: on an
idle machine that is the wall time, on a busy one the others' share is not counted.

usage: python tests/bench/fusion.py [--quick] [--rounds 5] [--shapes 32/2/16 ...] [--lanes 1 4 ...]
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from tests.bench.sequential import Epoch, best_epoch, loader_epoch, mlp
from tuner.study.trial import Params, Values
from tuner.study_file.trainer_params import Task, resolve
from tuner.training.data import Split, TrainingData
from tuner.training.groups import Goal, train
from tuner.training.lane import Nobody
from tuner.training.losses import loss_of
from tuner.training.mlp import MLP
from tuner.training.sizes import MOST_ON_CPU, FixedSizes, Measurement

AUTO = "auto"  # as many lanes as a worker's own measurement chooses
_CELL_SECONDS = 0.2  # a cell is measured for about so long, and at least an epoch


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


class TimedLane(Nobody):
    """Stores nothing but the times of its reports."""

    def __init__(self, params: Params, seed: int, now: Callable[[], float]) -> None:
        super().__init__(params, seed)
        self._now = now
        self.reported: list[float] = []

    def report(self, step: int, values: Values) -> None:
        self.reported.append(self._now())


def random_data(n_rows: int, n_features: int = 64, n_classes: int = 10) -> TrainingData:
    """Random rows; 64 of them to validate on."""
    generator = torch.Generator().manual_seed(0)

    def split(n: int) -> Split:
        return Split(
            x_NF=torch.randn(n, n_features, generator=generator),
            y_N=torch.randint(n_classes, (n,), generator=generator),
        )

    return TrainingData(
        task=Task.CLASSIFICATION,
        n_classes=n_classes,
        target_scale=1.0,
        train=split(n_rows),
        validation=split(64),
    )


def fused_epoch_seconds(
    all_params: Sequence[Params], data: TrainingData, now: Callable[[], float], epochs: int
) -> float:
    """Train these lanes together; seconds of one epoch of all of them, the first one apart."""
    lanes = [
        TimedLane(resolve({**params, "epochs": epochs + 1}), seed, now)
        for seed, params in enumerate(all_params)
    ]
    loss = loss_of(data)
    model, sizes = MLP(data.n_features, data.n_outputs, loss), FixedSizes(len(lanes))
    goal = Goal(metric="val_loss", minimize=True)
    for _ in train(lanes, model, data, loss, data_seed=5, goal=goal, sizes=sizes):
        pass
    times = lanes[0].reported
    return (times[-1] - times[0]) / epochs


def measured_lanes(params: Params, data: TrainingData) -> int:
    """The number of lanes that a worker would find best."""
    loss = loss_of(data)
    model = MLP(data.n_features, data.n_outputs, loss)
    return Measurement(data, loss, MOST_ON_CPU)(model, resolve(params), 0)


def sequential_epoch_seconds(epoch: Epoch, now: Callable[[], float], epochs: int) -> float:
    """The same of a loop."""
    epoch()
    start = now()
    for _ in range(epochs):
        epoch()
    return (now() - start) / epochs


@dataclass(kw_only=True)
class Cells:
    """One shape: seconds of one trial-epoch in every round, by way of training."""

    shape: Shape
    n_steps: int  # of an epoch
    measured: list[int] = field(default_factory=list)  # the lanes of "auto"
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def microseconds(self, way: str) -> float:
        """Of a trial-step, its share of validation included."""
        return 1e6 * statistics.median(self.seconds[way]) / self.n_steps

    def factor(self, way: str) -> float:
        """How much faster than the best loop; the median of the ratios of each round."""
        pairs = zip(self.seconds["best loop"], self.seconds[way], strict=True)
        return statistics.median(loop / ours for loop, ours in pairs)


def measure(
    shape: Shape, data: TrainingData, lanes: Sequence[int], options: argparse.Namespace
) -> Cells:
    """All cells of a shape, round after round."""
    cells = Cells(shape=shape, n_steps=-(-data.train.n_rows // shape.batch))
    params = {"width": shape.width, "n_layers": shape.depth, "batch_size": shape.batch}
    ways: dict[str, Way] = {
        "DataLoader": _loop(loader_epoch, shape, data),
        "best loop": _loop(best_epoch, shape, data),
        **{f"k={k}": _lanes(params, k, data) for k in lanes},
    }
    for _ in range(options.rounds):
        n_lanes = measured_lanes(params, data)
        cells.measured.append(n_lanes)
        for name, way in {**ways, AUTO: _lanes(params, n_lanes, data)}.items():
            cells.seconds.setdefault(name, []).append(way())
    return cells


Way = Callable[[], float]  # seconds of one epoch of one trial


def _loop(
    build: Callable[[torch.nn.Module, TrainingData, int], Epoch], shape: Shape, data: TrainingData
) -> Way:
    def way() -> float:
        model = mlp(data.n_features, data.n_outputs, width=shape.width, depth=shape.depth)
        epoch = build(model, data, shape.batch)
        return _long_enough(lambda n: sequential_epoch_seconds(epoch, time.process_time, n))

    return way


def _lanes(params: Params, k: int, data: TrainingData) -> Way:
    def way() -> float:
        everybody = [params] * k
        return (
            _long_enough(lambda n: fused_epoch_seconds(everybody, data, time.process_time, n)) / k
        )

    return way


def _long_enough(epoch_seconds: Callable[[int], float]) -> float:
    """Of one epoch, from so many that the time is long enough to be told."""
    seconds = epoch_seconds(1)
    n_epochs = round(_CELL_SECONDS / seconds)
    return epoch_seconds(n_epochs) if n_epochs > 1 else seconds


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
        texts.append(f"k={statistics.median_low(row.measured)}: {_cell(row, AUTO)}")
        texts.append(f"{wanted}: {'met' if is_met else 'MISSED'}")
        lines.append(f"| {row.shape.name} | " + " | ".join(texts) + " |")
    return "\n".join(lines)


def _cell(row: Cells, way: str) -> str:
    factor = "" if way == "best loop" else f" ({row.factor(way):.1f}x)"
    return f"{row.microseconds(way):.0f}{factor}"


def hardware() -> str:
    """What this ran on."""
    names = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return (
        f"{names[0] if names else 'CPU'}, {len(names)} logical cores; torch {torch.__version__}, "
        f"{torch.get_num_threads()} thread; {torch.backends.cpu.get_cpu_capability()}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="2 rounds over fewer rows")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--shapes", nargs="*", default=[shape.name for shape in SHAPES])
    parser.add_argument("--lanes", nargs="*", type=int, default=[1, 4, 16, 64])
    options = parser.parse_args()
    n_rows = 1280
    if options.quick:
        options.rounds, n_rows = 2, 640
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(hardware())
    print(f"{n_rows} rows of 64 features, 10 classes, Adam, float32; microseconds of a trial-step")
    rows = []
    for shape in SHAPES:
        if shape.name in options.shapes:
            rows.append(measure(shape, random_data(n_rows), options.lanes, options))
            print(".", end="", flush=True)
    print("\n" + render(rows))


if __name__ == "__main__":
    main()
