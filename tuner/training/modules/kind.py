"""A user's module as a kind of model: fused wherever torch.vmap can run it.

Training is independent of other packages: the callable that builds the module is a parameter, its
name is for display. Shapes: K lanes, D parameters of a lane with padding, B batch, F features, C
outputs.
"""

import logging
from collections.abc import Callable

import torch

from tuner.study.trial import Params
from tuner.training.data.dataset import Dataset
from tuner.training.fatal_errors import exits_are_errors
from tuner.training.layout import Layout
from tuner.training.losses.built_in import Loss
from tuner.training.model import Fresh, Rows, Stack
from tuner.training.modules.fusing import find_obstacle
from tuner.training.modules.lanes import FusedLanes, PlainLane
from tuner.training.modules.stack import ModuleStack
from tuner.training.modules.template import (
    Build,
    Template,
    arguments_of,
    buffers_of,
    build_module,
    make_template,
    parameters_of,
)

log = logging.getLogger(__name__)

Initialize = Callable[[torch.nn.Module, Params, int], None]
_MAX_TEMPLATES = 8  # modules that wait on the device for their next stack


class ModuleModel:
    """`training.model.Model` over the result of a callable.

    Lanes share a stack when their batch size and all params that the callable takes are equal: then
    their modules are the same function of their parameters and buffers.
    """

    uses_autograd = True

    def __init__(
        self,
        build: Build,
        data: Dataset,
        loss: Loss,
        *,
        name: str,
        initialize: Initialize | None = None,
    ) -> None:
        """Build it; `initialize(module, params, seed)` sets the first values.

        Without it they are as the callable leaves them, with the global generators started from the
        seed.
        """
        self._build = build
        self._arguments = arguments_of(build)
        self._data = data
        self._loss = loss
        self._name = name
        self._initialize = initialize
        self._templates: dict[str, Template] = {}
        self._layouts: dict[str, Layout] = {}
        self._obstacles: dict[str, str] = {}
        self._said: set[str] = set()
        self._plain: set[str] = set()

    def key(self, params: Params) -> str:
        """Return the module's name, all arguments of its callable, and the batch size."""
        shared = {name: params[name] for name in ("batch_size", "precision")}
        taken = {**shared, **self._arguments.of(params)}
        return " ".join([self._name, *(f"{name}={taken[name]}" for name in sorted(taken))])

    def structure(self, params: Params) -> str:
        """Describe the state: lanes of a stack may differ in the optimizer, checkpoints may not."""
        return f"{self.key(params)} optimizer={params['optimizer']}"

    def rank(self, params: Params) -> int:
        """Return any rank: the order does not matter."""
        return 0

    def layout(self, params: Params) -> Layout:
        """Lay out weights first, then all that has one dimension."""
        key = self.key(params)
        if key not in self._layouts:
            self._layouts[key] = self._template(params).layout
        return self._layouts[key]

    def fresh(self, params: Params, seed: int) -> Fresh:
        """Take the values from a separate module for each lane."""
        module = build_module(self._build, params, self._data, seed)
        if self._initialize is not None:
            self._initialize(module, params, seed)
        return Fresh(parameters=parameters_of(module), buffers=buffers_of(module))

    def stack(self, rows: Rows) -> Stack:
        """Run all lanes in one pass; a single one as it is, if that is faster or required."""
        params = rows.params[0]
        is_better_alone = self.key(params) in self._plain or bool(self._obstacle(params))
        # Several may be together all the same: their kind was measured after they had joined.
        if is_better_alone and len(rows.seeds) == 1:
            return self.plain_stack(rows)
        return self.fused_stack(rows)

    def choose_plain(self, params: Params, is_plain: bool) -> bool:
        """Choose for single lanes: `torch.vmap` over one costs more than no `vmap`."""
        if is_plain:
            self._plain.add(self.key(params))
        else:
            self._plain.discard(self.key(params))
        return True

    def max_lanes(self, params: Params) -> int | None:
        """Return 1 if the lanes cannot be fused; tested once per key, and logged once.

        It is 1 as well for a broken model: its own training reports the error.
        """
        try:
            with exits_are_errors():
                return 1 if self._obstacle(params) else None
        except Exception as error:
            log.debug("%s broke when it was tried: %r", self._name, error)
            return 1

    def is_small(self, params: Params) -> bool:
        return False  # the products of a convolution, for one, do not show in its parameters

    def fused_stack(self, rows: Rows) -> ModuleStack:
        """Return the stack of fused lanes."""
        return self._stack(FusedLanes, self._template(rows.params[0]), rows)

    def plain_stack(self, rows: Rows) -> ModuleStack:
        """Return the stack for one lane of any module."""
        return self._stack(PlainLane, self._new_template(rows.params[0], rows.seeds[0]), rows)

    def _stack(
        self, kind: type[FusedLanes | PlainLane], template: Template, rows: Rows
    ) -> ModuleStack:
        is_bfloat16 = rows.params[0]["precision"] == "bfloat16"
        with torch.inference_mode(False):
            lanes = kind(template, rows, self._data.n_outputs, is_bfloat16=is_bfloat16)
        return ModuleStack(template, rows, lanes, self._loss)

    def _obstacle(self, params: Params) -> str:
        """Return why lanes of these params cannot be fused; empty if they can."""
        key = self.key(params)
        if key not in self._obstacles:
            self._obstacles[key] = find_obstacle(self, params, self._data, self._loss)
            self._say(self._obstacles[key])
        return self._obstacles[key]

    def _say(self, obstacle: str) -> None:
        if obstacle and obstacle not in self._said:
            self._said.add(obstacle)
            log.warning("%s trains one trial at a time: %s", self._name, obstacle)

    def _template(self, params: Params) -> Template:
        key = self.key(params)
        if key not in self._templates:
            while len(self._templates) >= _MAX_TEMPLATES:
                del self._templates[next(iter(self._templates))]
            self._templates[key] = self._new_template(params, seed=0)
        return self._templates[key]

    def _new_template(self, params: Params, seed: int) -> Template:
        module = build_module(self._build, params, self._data, seed)
        return make_template(module, self._data.train.x_NF.device)
