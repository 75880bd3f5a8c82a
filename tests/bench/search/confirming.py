"""The best trial's params under fresh seeds, on the validation and the test rows."""

from collections.abc import Iterable
from dataclasses import replace

import torch

from tests.bench.search.data import Prepared, joined
from tests.bench.search.driving import open_groups
from tests.bench.search.records import Confirmed
from tuner.study.seeds import derive_seed
from tuner.study.trial import Params, Values
from tuner.study_file.params.trainer_params import Task, resolve
from tuner.training.data.dataset import Dataset
from tuner.training.groups.device_groups import train
from tuner.training.lane import DetachedLane
from tuner.training.losses.built_in import Loss, loss_of
from tuner.training.losses.metrics import Metrics

N_SEEDS = 3
METRICS = {Task.CLASSIFICATION: "accuracy", Task.REGRESSION: "r2"}  # higher is better


class _BothMetrics(Metrics):
    """Metrics of the validation rows, and of the test rows that follow them as `test_NAME`.

    The best epoch is chosen by the validation loss; the values of the test rows only come along.
    """

    def __init__(self, data: Prepared, loss: Loss) -> None:
        one = data.dataset
        super().__init__(one, loss)
        self._n_rows = one.validation.n_rows
        self._test = Metrics(_with_test_rows(data), loss)

    def of(self, chunks: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> list[Values]:
        outputs, labels = zip(*((output.clone(), y) for output, y in chunks), strict=True)
        output_KCN, y_N = torch.cat(outputs, 2), torch.cat(labels)
        n = self._n_rows
        found = super().of([(output_KCN[:, :, :n], y_N[:n])])
        of_test = self._test.of([(output_KCN[:, :, n:], y_N[n:])])
        return [
            {**own, **{name.replace("val_", "test_", 1): value for name, value in test.items()}}
            for own, test in zip(found, of_test, strict=True)
        ]


def _with_test_rows(data: Prepared) -> Dataset:
    return replace(data.dataset, validation=data.test)


def confirm(data: Prepared, params: Params, seed: int, n_epochs: int) -> Confirmed | None:
    """Train the params with seeds that depend on the search's seed alone; None if one diverges."""
    both = joined(data)
    metrics = _BothMetrics(data, loss_of(both))
    groups = open_groups(both, derive_seed(seed, "confirm", "data"), N_SEEDS, metrics)
    resolved = resolve({**params, "epochs": n_epochs})
    lanes = [
        DetachedLane(resolved, derive_seed(seed, "confirm", index)) for index in range(N_SEEDS)
    ]
    ends = {departure.lane.seed: departure for departure in train(groups, lanes)}
    bests = [ends[lane.seed].best_values for lane in lanes]
    if not all(bests):
        return None
    metric = METRICS[data.dataset.task]
    return Confirmed(
        val_loss=[best["val_loss"] for best in bests],
        test_loss=[best["test_loss"] for best in bests],
        test_metric=[best[f"test_{metric}"] for best in bests],
        metric=metric,
    )
