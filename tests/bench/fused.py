"""Our side of the benches of groups: lanes that train without end, and how an epoch is timed."""

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from tuner.study.goal import Goal
from tuner.study.trial import Direction, Params
from tuner.study_file.params.trainer_params import Task, resolve
from tuner.training.data.dataset import Dataset, Split
from tuner.training.groups.device_groups import Groups
from tuner.training.groups.sizes import MAX_ON_CPU, FixedSizes, Measurement
from tuner.training.lane import DetachedLane
from tuner.training.losses.built_in import loss_of
from tuner.training.mlp.stack import MLP
from tuner.training.model import Model
from tuner.training.modules.kind import ModuleModel

RATE = 1e-5  # of learning, so small that no unit dies, however long a cell trains
CELL_SECONDS = 0.05  # a cell of a round takes about so long, and at least an epoch


def random_data(n_rows: int, n_features: int = 64, n_classes: int = 10) -> Dataset:
    """Random rows; 64 of them to validate on."""
    generator = torch.Generator().manual_seed(0)

    def split(n: int) -> Split:
        return Split(
            x_NF=torch.randn(n, n_features, generator=generator),
            y_N=torch.randint(n_classes, (n,), generator=generator),
        )

    return Dataset(
        task=Task.CLASSIFICATION,
        n_classes=n_classes,
        target_scale=1.0,
        train=split(n_rows),
        validation=split(64),
    )


def fused_epoch(
    all_params: Sequence[Params],
    data: Dataset,
    most_together: int = 10**6,
    build: Callable[..., torch.nn.Module] | None = None,
    *,
    is_plain: bool = False,
) -> Callable[[], None]:
    """Lanes that train without end: an epoch of all of them, group after group.

    Of the built-in model, or of the modules that `build` returns, as `model: module:build` would.
    With `is_plain` a single lane is an ordinary module, without `torch.vmap`.
    """
    loss = loss_of(data)
    model: Model = MLP(data.n_features, data.n_outputs, loss)
    if build is not None:
        model = ModuleModel(build, data, loss, name="bench")
    groups = Groups(
        model,
        data,
        loss,
        data_seed=5,
        goal=Goal(metric="val_loss", direction=Direction.MINIMIZE),
        sizes=FixedSizes(most_together),
    )
    lanes = [
        DetachedLane(resolve({"learning_rate": RATE, "epochs": 10**6, **params}), seed)
        for seed, params in enumerate(all_params)
    ]
    groups.admit(lanes)
    if is_plain:
        model.choose_plain(lanes[0].params, True)
    kinds = Counter(model.key(lane.params) for lane in lanes)
    n_groups = sum(math.ceil(n / most_together) for n in kinds.values())

    def epoch() -> None:
        for _ in range(n_groups):
            for departure in groups.turn():
                raise AssertionError(f"a lane has left: {departure}")

    return epoch


def measured_lanes(params: Params, data: Dataset) -> int:
    """The number of lanes that a worker would find best."""
    loss = loss_of(data)
    model = MLP(data.n_features, data.n_outputs, loss)
    return Measurement(data, loss, MAX_ON_CPU)(model, resolve(params), 0).best


def epoch_seconds(epoch: Callable[[], object], n_epochs: int, now: Callable[[], float]) -> float:
    """Of one of so many epochs."""
    start = now()
    for _ in range(n_epochs):
        epoch()
    return (now() - start) / n_epochs


def enough_epochs(epoch: Callable[[], object]) -> int:
    """So many that the time is long enough to be told; nobody's first epoch is measured."""
    epoch()
    return max(1, round(CELL_SECONDS / epoch_seconds(epoch, 1, time.process_time)))


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
