"""A lane that remembers, and small data to train it on."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch

from tuner.study.goal import Goal
from tuner.study.trial import Direction, Params, Values
from tuner.study.verdict import Verdict
from tuner.study_file.params.trainer_params import Task, resolve
from tuner.training.checkpoint import save_checkpoint
from tuner.training.data.dataset import Dataset, Split
from tuner.training.groups.device_groups import Departure, Groups, train
from tuner.training.groups.sizes import FixedSizes
from tuner.training.losses.built_in import loss_of
from tuner.training.mlp.stack import MLP


class RecorderLane:
    """Records what training does with it; gives the verdict that is scripted for a step."""

    def __init__(
        self,
        number: int = 0,
        *,
        checkpoint: Path | None = None,
        verdicts: dict[int, Verdict] | None = None,
        journal: list[tuple[str, int]] | None = None,
        spool: Path | None = None,
        **params: object,
    ) -> None:
        self.number = number
        self.seed = 1000 + number
        self.from_step, self.last_value = 0, None
        self.params: Params = resolve(params)  # type: ignore[arg-type]
        self.checkpoint = None if checkpoint is None else str(checkpoint)
        self.verdicts = verdicts or {}
        self.journal = [] if journal is None else journal
        self.reports: dict[int, Values] = {}
        self.state: object = None  # the last one, as it was when it was saved
        self.spool = spool
        self.files: dict[int, Path] = {}
        self.step = 0
        self.kept: tuple[float, Mapping[str, Any]] | None = None

    def report(self, step: int, values: Values, *, is_last: bool = False) -> None:
        self.last_step = step if is_last else None
        self.journal.append(("report", self.number))
        self.reports[step] = values
        self.step = step

    def save(self, step: int, state: Callable[[], object]) -> None:
        self.journal.append(("save", self.number))
        if self.spool is not None:
            file = save_checkpoint(self.spool, f"{self.number}-1-{step}", state())
            self.files[step] = file.path

    def verdict(self) -> Verdict:
        if self.step:
            self.journal.append(("verdict", self.number))
        return self.verdicts.get(self.step, Verdict.CONTINUE)

    def keep(self, value: float, state: Callable[[], Mapping[str, Any]]) -> None:
        self.journal.append(("keep", self.number))
        self.kept = (value, deepcopy(state()))

    @property
    def curve(self) -> dict[int, Values]:
        """The reports without the wall time."""
        return {
            step: {name: value for name, value in values.items() if name != "seconds"}
            for step, values in self.reports.items()
        }


def classification(
    n_train: int = 150, n_features: int = 20, dtype: torch.dtype = torch.float32
) -> Dataset:
    """Three classes that a small model can tell apart, mostly."""
    return _data(Task.CLASSIFICATION, n_train, n_features, dtype)


def regression(
    n_train: int = 150, n_features: int = 20, dtype: torch.dtype = torch.float32
) -> Dataset:
    """A noisy linear target."""
    return _data(Task.REGRESSION, n_train, n_features, dtype)


def _data(task: Task, n_train: int, n_features: int, dtype: torch.dtype) -> Dataset:
    generator = torch.Generator().manual_seed(7)
    n_rows = n_train + 40
    x_NF = torch.randn(n_rows, n_features, generator=generator, dtype=torch.float64)
    noise_N3 = torch.randn(n_rows, 3, generator=generator, dtype=torch.float64)
    score_N3 = x_NF[:, :3] * 2 + noise_N3
    y_N = score_N3.argmax(1) if task is Task.CLASSIFICATION else score_N3.sum(1).to(dtype) / 4
    x_NF = x_NF.to(dtype)
    return Dataset(
        task=task,
        n_classes=3 if task is Task.CLASSIFICATION else 0,
        target_scale=5.0,
        train=Split(x_NF=x_NF[:n_train], y_N=y_N[:n_train]),
        validation=Split(x_NF=x_NF[n_train:], y_N=y_N[n_train:]),
    )


def run(
    lanes: Sequence[RecorderLane],
    data: Dataset,
    metric: str = "val_loss",
    *,
    minimize: bool = True,
    n_lanes: int = 64,
) -> list[Departure]:
    """Train to the end, in stacks of at most `n_lanes`."""
    loss = loss_of(data)
    model = MLP(data.n_features, data.n_outputs, loss)
    goal, sizes = (
        Goal(metric=metric, direction=Direction.MINIMIZE if minimize else Direction.MAXIMIZE),
        FixedSizes(n_lanes),
    )
    return list(train(Groups(model, data, loss, data_seed=5, goal=goal, sizes=sizes), lanes))
