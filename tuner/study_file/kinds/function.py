"""`objective: train.py:train`: a function of the user that trains one trial."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from tuner.study.trial import Direction, Params, ParamValue, full_length
from tuner.study_file.code_names import (
    EXAMPLE,
    FUNCTION_NAME,
    Definition,
    arity_fault,
    is_right,
)
from tuner.study_file.kinds.objective import Objective, ObjectiveKind
from tuner.study_file.params.space import SearchSpace
from tuner.study_file.params.trainer_params import ANY_PARAMS, KnownParams
from tuner.study_file.schema.parts import Schema, callable_schema
from tuner.study_file.text.faults import quote
from tuner.study_file.text.items import Item
from tuner.study_file.text.yaml_nodes import Node, ScalarNode

METRIC = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)  # an argument of trial.report


class FunctionObjective(Objective):
    """A `module:function` or `path/file.py:function`, relative to the study file's folder."""

    kind: ClassVar[str] = "function"
    noun: ClassVar[str] = "function"
    max_lanes: ClassVar[int] = 1
    is_single_use: ClassVar[bool] = True
    has_prepared_data: ClassVar[bool] = False
    counts_epochs: ClassVar[bool] = False

    function: str

    @property
    def code_names(self) -> tuple[str, ...]:
        return (self.function,)

    @property
    def seed_advice(self) -> str:
        return "seed all generators with trial.seed, and with no other number"

    @classmethod
    def complete(cls, params: Params) -> dict[str, ParamValue]:
        return dict(params)

    def written(self) -> Any:
        return self.function

    def n_steps(self, params: Params) -> int | None:
        return full_length(params)

    def structural_params(self, params: Params, space: SearchSpace) -> frozenset[str]:
        return frozenset()

    def preparation(self, params: Params, space: SearchSpace, folder: Path) -> dict[str, Any]:
        """Request one import of the function: a failure there would fail every trial."""
        return {"function": self.function, "folder": str(folder)}


class FunctionKind(ObjectiveKind):
    """An objective that is the name of a function."""

    spec = FunctionObjective

    def is_meant(self, node: Node | None) -> bool:
        return isinstance(node, ScalarNode) and isinstance(node.value, str)

    def read(self, item: Item, folder: Path) -> FunctionObjective | None:
        """Read the name: a file is parsed, a module is checked by the run."""
        assert isinstance(item.node, ScalarNode)
        text = str(item.node.value)
        _, colon, name = text.rpartition(":")
        if not colon or not FUNCTION_NAME.fullmatch(name):
            item.fault(f"{quote(text)} names no function; {EXAMPLE}, or a mapping with `data:`")
            return None
        return FunctionObjective(function=text) if is_right(item, text, folder, _fault) else None

    def known_params(self, node: Node | None) -> KnownParams:
        return ANY_PARAMS

    def goal_fault(
        self, metric: str, direction: Direction, objective: Objective | None, node: Node | None
    ) -> str:
        """Check that a metric can be an argument of `trial.report`."""
        return "" if METRIC.fullmatch(metric) else f"{quote(metric)} is no name in Python"

    def lanes_fault(self, lanes: int) -> str:
        wrong = "a function trains one trial in a process; `processes:` trains several on a device"
        return wrong if lanes > FunctionObjective.max_lanes else ""

    def ranks_fault(self, objective: Objective | None, n_ranks: int) -> str:
        return ""

    def code_nodes(self, node: Node) -> Sequence[Node]:
        return [node]

    def schema(self) -> Schema:
        return callable_schema("train.py:train")


def _fault(node: Definition, name: str) -> str:
    return arity_fault(node, name, f"def {node.name}(trial)", 1)
