"""A user's module as a kind of model: fused wherever torch.vmap can run it.

Training is a leaf: the callable that builds the module is given, its name is for people.
Shapes: K lanes, D parameters of a lane with padding, B batch, F features, C outputs.
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

Initialize = Callable[[torch.nn.Module, int], None]
_MOST_TEMPLATES = 8  # modules that wait on the device for their next stack


class ModuleModel:
    """`training.model.Model` over what a callable builds.

    Lanes share a stack when their batch size and all params that the callable takes are equal:
    then their modules are the same function of their parameters and buffers.
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
        """`initialize(module, seed)` sets the first values; else they are as the callable leaves
        them, with the global generators started from the seed."""
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
        """The module's name, all that it is built from, and what a step is."""
        shared = {name: params[name] for name in ("batch_size", "precision")}
        taken = {**shared, **self._arguments.of(params)}
        return " ".join([self._name, *(f"{name}={taken[name]}" for name in sorted(taken))])

    def structure(self, params: Params) -> str:
        """Two lanes of a stack may have different optimizers, a lane and its checkpoint not."""
        return f"{self.key(params)} optimizer={params['optimizer']}"

    def rank(self, params: Params) -> int:
        """Any order will do."""
        return 0

    def layout(self, params: Params) -> Layout:
        """Weights, then all that has one dimension."""
        key = self.key(params)
        if key not in self._layouts:
            self._layouts[key] = self._template(params).layout
        return self._layouts[key]

    def fresh(self, params: Params, seed: int) -> Fresh:
        """A module of its own for each lane gives them."""
        module = build_module(self._build, params, self._data, seed)
        if self._initialize is not None:
            self._initialize(module, seed)
        return Fresh(parameters=parameters_of(module), buffers=buffers_of(module))

    def stack(self, rows: Rows) -> Stack:
        """All lanes in one pass; a single one as it is, where that pays or nothing else works."""
        params = rows.params[0]
        is_better_alone = self.key(params) in self._plain or bool(self._obstacle(params))
        # Several may be together all the same: their kind was measured after they had joined.
        if is_better_alone and len(rows.seeds) == 1:
            return self.plain_stack(rows)
        return self.fused_stack(rows)

    def choose_plain(self, params: Params, is_plain: bool) -> bool:
        """`torch.vmap` over a single lane costs more than no `vmap`."""
        if is_plain:
            self._plain.add(self.key(params))
        else:
            self._plain.discard(self.key(params))
        return True

    def most_lanes(self, params: Params) -> int | None:
        """1 for what cannot be fused; found by trying once per key, and said once.

        1 as well for what is broken: its own training will say how.
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
        """The stack for what can be fused."""
        return self._stack(FusedLanes, self._template(rows.params[0]), rows)

    def plain_stack(self, rows: Rows) -> ModuleStack:
        """The stack for one lane of any module."""
        return self._stack(PlainLane, self._new_template(rows.params[0], rows.seeds[0]), rows)

    def _stack(
        self, kind: type[FusedLanes | PlainLane], template: Template, rows: Rows
    ) -> ModuleStack:
        is_bfloat16 = rows.params[0]["precision"] == "bfloat16"
        with torch.inference_mode(False):
            lanes = kind(template, rows, self._data.n_outputs, is_bfloat16=is_bfloat16)
        return ModuleStack(template, rows, lanes, self._loss)

    def _obstacle(self, params: Params) -> str:
        """Why lanes of these params cannot be fused; empty if they can."""
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
            while len(self._templates) >= _MOST_TEMPLATES:
                del self._templates[next(iter(self._templates))]
            self._templates[key] = self._new_template(params, seed=0)
        return self._templates[key]

    def _new_template(self, params: Params, seed: int) -> Template:
        module = build_module(self._build, params, self._data, seed)
        return make_template(module, self._data.train.x_NF.device)
