"""Metrics of the validation split after an epoch, of all lanes at once.

Shapes: K lanes, B rows of a chunk, C outputs, N rows of the split, M sums, c classes of a ranking.
A split is processed in chunks: each gives sums per lane, which add up, and the metrics follow from
the totals. Only a ranking needs the outputs of all rows.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

import torch

from tuner.study.trial import Values
from tuner.study_file.params.trainer_params import DEFAULT_METRICS, Task
from tuner.training.data.dataset import Dataset
from tuner.training.losses.built_in import Loss

_RANKED_ELEMENTS = 2**22  # sorted at once, in float64


class _Part(Protocol):
    """Some metrics that follow from sums over rows."""

    def sums(self, output_KCB: torch.Tensor, y_B: torch.Tensor) -> torch.Tensor:
        """Return this chunk's part of the sums, (K, M)."""

    def values(self, totals_M: Sequence[float]) -> Values:
        """Return the metrics of one lane by name, without `val_`."""


class Metrics:
    """`val_loss`, and the metrics that are asked for."""

    def __init__(self, data: Dataset, loss: Loss, names: Collection[str] | None = None) -> None:
        """Build it; `names` are without `val_`, and None stands for the usual ones of the task."""
        split = data.validation
        self._parts: list[_Part] = [_PlainLoss(loss, split.n_rows)]
        self._ranking: _Ranking | None = None
        names = DEFAULT_METRICS[data.task] if names is None else names
        if data.task is Task.REGRESSION:
            if names:
                self._parts.append(_Residuals(names, split.y_N, data.target_scale))
            return
        if set(names) - {"auroc"}:
            self._parts.append(_Confusion(names, data.n_classes, split.n_rows))
        if "auroc" in names:
            self._ranking = _Ranking(split.y_N, data.n_classes)

    def of(self, chunks: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> list[Values]:
        """Return each lane's metrics from the outputs (K, C, B) and labels (B,) of all chunks.

        The outputs of a chunk may be overwritten once the next one is asked for.
        """
        totals: list[torch.Tensor] = []
        kept: list[torch.Tensor] = []
        for output_KCB, y_B in chunks:
            found = [part.sums(output_KCB, y_B) for part in self._parts]
            totals = [a + b for a, b in zip(totals, found, strict=True)] if totals else found
            if self._ranking is not None:
                kept.append(output_KCB.clone())
        assert totals, "an empty validation split"
        by_part = [total_KM.tolist() for total_KM in totals]
        lanes: list[Values] = []
        for rows in zip(*by_part, strict=True):
            values: dict[str, float] = {}
            for part, totals_M in zip(self._parts, rows, strict=True):
                values |= {f"val_{name}": value for name, value in part.values(totals_M).items()}
            lanes.append(values)
        if self._ranking is not None:
            areas = self._ranking.areas(torch.cat(kept, 2)).tolist()
            lanes = [{**v, "val_auroc": area} for v, area in zip(lanes, areas, strict=True)]
        return lanes


class _PlainLoss:
    """The mean of the plain loss."""

    def __init__(self, loss: Loss, n_rows: int) -> None:
        self._loss = loss
        self._n_rows = n_rows

    def sums(self, output_KCB: torch.Tensor, y_B: torch.Tensor) -> torch.Tensor:
        return self._loss.plain_sums(output_KCB, y_B).double()[:, None]

    def values(self, totals_M: Sequence[float]) -> Values:
        (total,) = totals_M
        return {"loss": total / self._n_rows}


class _Confusion:
    """Metrics of the chosen classes: the largest output of a row.

    Precision, recall and F1 are means over all classes (macro), and 0 for a class without a row
    that they could be computed from. Balanced accuracy is the mean recall of the classes that the
    split has.
    """

    def __init__(self, names: Collection[str], n_classes: int, n_rows: int) -> None:
        self._names = names
        self._n_classes = n_classes
        self._n_rows = n_rows
        self._has_counts = bool(set(names) - {"accuracy", "auroc"})

    def sums(self, output_KCB: torch.Tensor, y_B: torch.Tensor) -> torch.Tensor:
        """Return the right rows, and by class the right, the chosen and the true ones."""
        chosen_KB = output_KCB.argmax(1)
        is_right_KB = chosen_KB == y_B
        n_right_K1 = is_right_KB.sum(1, keepdim=True).double()
        if not self._has_counts:
            return n_right_K1
        n_lanes, n = len(output_KCB), self._n_classes
        first_K1 = torch.arange(0, n_lanes * n, n, device=y_B.device)[:, None]

        def count(classes_KB: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
            flat = (classes_KB + first_K1).flatten()
            # weights of 0 and 1 in float64: the sums are exact in any order
            return torch.bincount(flat, weights, n_lanes * n).double().view(n_lanes, n)

        right_KC = count(chosen_KB, is_right_KB.flatten().double())
        counts = (right_KC, count(chosen_KB), count(y_B.expand(n_lanes, -1)))
        return torch.cat([n_right_K1, *counts], 1)

    def values(self, totals_M: Sequence[float]) -> Values:
        n_right, *counts = totals_M
        found = {"accuracy": n_right / self._n_rows}
        if counts:
            n = self._n_classes
            by_class = list(zip(counts[:n], counts[n : 2 * n], counts[2 * n :], strict=True))
            found |= {
                "balanced_accuracy": _mean([r / true for r, _, true in by_class if true]),
                "precision": _mean([_share(r, chosen) for r, chosen, _ in by_class]),
                "recall": _mean([_share(r, true) for r, _, true in by_class]),
                "f1": _mean([_share(2 * r, chosen + true) for r, chosen, true in by_class]),
            }
        return {name: value for name, value in found.items() if name in self._names}


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


class _Residuals:
    """Metrics of the errors, in the target's own unit."""

    def __init__(self, names: Collection[str], y_N: torch.Tensor, target_scale: float) -> None:
        """Take `y_N`, all standardized targets of the split."""
        self._names = names
        self._target_scale = target_scale
        self._n_rows = len(y_N)
        y_N = y_N.double()
        self._variance_sum = float((y_N - y_N.mean()).square().sum())

    def sums(self, output_KCB: torch.Tensor, y_B: torch.Tensor) -> torch.Tensor:
        residual_KB = output_KCB.squeeze(1) - y_B
        squared_K, absolute_K = residual_KB.square().sum(1), residual_KB.abs().sum(1)
        return torch.stack([squared_K.double(), absolute_K.double()], 1)

    def values(self, totals_M: Sequence[float]) -> Values:
        squared, absolute = totals_M
        scale, mean = self._target_scale, squared / self._n_rows
        found = {
            "mse": mean * scale**2,
            "rmse": mean**0.5 * scale,
            "mae": absolute / self._n_rows * scale,
            # A constant target leaves nothing to explain (scikit-learn's r2_score: 0 as well).
            "r2": 1 - squared / self._variance_sum if self._variance_sum else 0.0,
        }
        return {name: value for name, value in found.items() if name in self._names}


class _Ranking:
    """The area under the ROC curve, one class against the rest, by ranks (ties: their mean).

    It is the mean over the classes that some rows of the split have and others have not, and 0.5
    if there is none. With two classes both curves have the same area.
    """

    def __init__(self, y_N: torch.Tensor, n_classes: int) -> None:
        counts = torch.bincount(y_N, minlength=n_classes).tolist()
        first = 1 if n_classes == 2 else 0
        ranked = [c for c in range(first, n_classes) if 0 < counts[c] < len(y_N)]
        self._classes_c = torch.tensor(ranked, dtype=torch.int64, device=y_N.device)
        self._is_in_cN = y_N == self._classes_c[:, None]
        self._n_in_c = self._is_in_cN.sum(1).double()

    def areas(self, output_KCN: torch.Tensor) -> torch.Tensor:
        """Return the mean area of each lane, (K,)."""
        if not len(self._classes_c):
            return output_KCN.new_full((len(output_KCN),), 0.5)
        n_at_once = max(1, _RANKED_ELEMENTS // output_KCN[0].numel())
        return torch.cat([self._areas(part) for part in torch.split(output_KCN, n_at_once)])

    def _areas(self, output_KCN: torch.Tensor) -> torch.Tensor:
        # in float64: in float32 all probabilities near 1 would be ties
        p_KcN = output_KCN.double().softmax(1)[:, self._classes_c].contiguous()
        sorted_KcN = p_KcN.sort(2).values
        below_KcN = torch.searchsorted(sorted_KcN, p_KcN)
        up_to_KcN = torch.searchsorted(sorted_KcN, p_KcN, right=True)
        rank_KcN = (below_KcN + up_to_KcN + 1).double() / 2
        sum_Kc = (rank_KcN * self._is_in_cN).sum(2)
        n_in_c, n_out_c = self._n_in_c, self._is_in_cN.shape[1] - self._n_in_c
        return ((sum_Kc - n_in_c * (n_in_c + 1) / 2) / (n_in_c * n_out_c)).mean(1)


def reported_names(asked: Collection[str] | None, goal: str, task: Task) -> tuple[str, ...]:
    """Return the metrics that a study reports, without `val_`: those asked for, and its goal."""
    names = DEFAULT_METRICS[task] if asked is None else tuple(asked)
    of_goal = goal.removeprefix("val_")
    return names if of_goal in ("loss", *names) else (*names, of_goal)
