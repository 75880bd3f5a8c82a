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
from tuner.training.lane import Verdict
from tuner.training.trainer import train

_CELL_SECONDS = 0.2  # a cell is measured for about so long, and at least two epochs


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
class SilentLane:
    """Stores nothing but the times of its reports."""

    number: int
    params: Params
    now: Callable[[], float]
    reported: list[float] = field(default_factory=list)
    checkpoint: str | None = None
    from_step: int = 0
    last_value: float | None = None

    @property
    def seed(self) -> int:
        return 1000 + self.number

    def report(self, step: int, values: Values) -> None:
        self.reported.append(self.now())

    def save(self, step: int, state: Callable[[], object]) -> bool:
        return False

    def verdict(self) -> Verdict:
        return Verdict.GO_ON


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
    """Train a group; seconds of one of its epochs, the first one apart."""
    lanes = [
        SilentLane(number=number, params=resolve({**params, "epochs": epochs + 1}), now=now)
        for number, params in enumerate(all_params)
    ]
    for _ in train(lanes, data, data_seed=5, metric="val_loss", minimize=True):
        pass
    times = lanes[0].reported
    return (times[-1] - times[0]) / epochs


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
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def microseconds(self, way: str) -> float:
        """Of a trial-step, its share of validation included."""
        return 1e6 * statistics.median(self.seconds[way]) / self.n_steps

    def factor(self, way: str) -> float:
        """How much faster than the best loop; the median of the ratios of each round."""
        pairs = zip(self.seconds["best loop"], self.seconds[way], strict=True)
        return statistics.median(loop / ours for loop, ours in pairs)

    def best_lanes(self) -> str:
        """The fastest number of lanes."""
        ways = [way for way in self.seconds if way.startswith("k=")]
        return max(ways, key=self.factor)


def measure(
    shape: Shape, data: TrainingData, lanes: Sequence[int], options: argparse.Namespace
) -> Cells:
    """All cells of a shape, round after round."""
    cells = Cells(shape=shape, n_steps=-(-data.train.n_rows // shape.batch))
    ways = {
        "DataLoader": _loop(loader_epoch, shape, data),
        "best loop": _loop(best_epoch, shape, data),
        **{f"k={k}": _lanes(k, shape, data) for k in lanes},
    }
    epochs = {name: _epochs(way(1)) for name, way in ways.items()}
    for _ in range(options.rounds):
        for name, way in ways.items():
            cells.seconds.setdefault(name, []).append(way(epochs[name]))
    # `way` told of the whole group so far: `_epochs` wants to know how long that takes
    for k in lanes:
        cells.seconds[f"k={k}"] = [seconds / k for seconds in cells.seconds[f"k={k}"]]
    return cells


Way = Callable[[int], float]  # how many epochs are measured -> seconds of one


def _loop(
    build: Callable[[torch.nn.Module, TrainingData, int], Epoch], shape: Shape, data: TrainingData
) -> Way:
    def way(epochs: int) -> float:
        model = mlp(data.n_features, data.n_outputs, width=shape.width, depth=shape.depth)
        return sequential_epoch_seconds(build(model, data, shape.batch), time.process_time, epochs)

    return way


def _lanes(k: int, shape: Shape, data: TrainingData) -> Way:
    params = {"width": shape.width, "n_layers": shape.depth, "batch_size": shape.batch}

    def way(epochs: int) -> float:
        return fused_epoch_seconds([params] * k, data, time.process_time, epochs)

    return way


def _epochs(seconds: float) -> int:
    return max(2, round(_CELL_SECONDS / seconds))


def render(rows: Sequence[Cells]) -> str:
    """Markdown: microseconds of a trial-step and, in brackets, the factor over the best loop."""
    ways = list(rows[0].seconds)
    lines = [
        "| width/depth/batch | " + " | ".join(ways) + " | best k | target | |",
        "|---" * (len(ways) + 4) + "|",
    ]
    for row in rows:
        texts = [_cell(row, way) for way in ways]
        best, target = row.best_lanes(), row.shape.target
        wanted = 1.0 if target is None else target
        verdict = "met" if row.factor(best) >= wanted else "MISSED"
        texts += [f"{best[2:]}: **{row.factor(best):.1f}x**", f"{wanted:g}x", verdict]
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
