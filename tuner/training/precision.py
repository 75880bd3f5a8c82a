"""One model for single precision, another one for half."""

from tuner.study.trial import Params
from tuner.training.layout import Layout
from tuner.training.model import Fresh, Model, Rows, Stack


class ByPrecision:
    """`training.model.Model` that chooses by the precision in a lane's params."""

    uses_autograd = False  # modules copy tensors of inference mode; the lean model gains

    def __init__(self, *, float32: Model, bfloat16: Model) -> None:
        """Combine the two; their keys must differ."""
        self._models = {"float32": float32, "bfloat16": bfloat16}

    def _of(self, params: Params) -> Model:
        return self._models[str(params["precision"])]

    def key(self, params: Params) -> str:
        return self._of(params).key(params)

    def structure(self, params: Params) -> str:
        return self._of(params).structure(params)

    def rank(self, params: Params) -> int:
        return self._of(params).rank(params)

    def layout(self, params: Params) -> Layout:
        return self._of(params).layout(params)

    def fresh(self, params: Params, seed: int) -> Fresh:
        return self._of(params).fresh(params, seed)

    def stack(self, rows: Rows) -> Stack:
        return self._of(rows.params[0]).stack(rows)

    def choose_plain(self, params: Params, is_plain: bool) -> bool:
        return self._of(params).choose_plain(params, is_plain)

    def max_lanes(self, params: Params) -> int | None:
        return self._of(params).max_lanes(params)

    def is_small(self, params: Params) -> bool:
        return self._of(params).is_small(params)
