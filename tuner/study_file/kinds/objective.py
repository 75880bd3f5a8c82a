"""The part that every kind of objective has in a study file: its record and its reader."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from tuner.study.trial import Direction, Params, ParamValue
from tuner.study_file.frozen import Model
from tuner.study_file.params.space import SearchSpace
from tuner.study_file.params.trainer_params import KnownParams
from tuner.study_file.schema.parts import Schema
from tuner.study_file.text.items import Item
from tuner.study_file.text.yaml_nodes import Node

MAX_LANES = 4096


class Objective(Model, ABC):
    """What a study optimizes, as it is stored. All layers ask the record, and not for its type."""

    kind: ClassVar[str]  # the name of its part in every layer
    max_lanes: ClassVar[int] = MAX_LANES  # trials that can train together in one process
    is_single_use: ClassVar[bool] = False  # a worker process ends after one trial
    has_prepared_data: ClassVar[bool] = True  # False: the user's code reads its own
    counts_epochs: ClassVar[bool] = True  # False: what a step is, only the params can say
    seconds_metric: ClassVar[str | None] = None  # the reported metric that is a step's duration

    @property
    @abstractmethod
    def code_names(self) -> tuple[str, ...]:
        """The user's code that it names, as `module:name` or `path/file.py:name`."""

    @property
    def is_same_in_company(self) -> bool:
        """Whether a trial has the same bits whichever trials share its group."""
        return True

    @classmethod
    @abstractmethod
    def complete(cls, params: Params) -> dict[str, ParamValue]:
        """The params with the objective's own defaults."""

    @abstractmethod
    def written(self) -> Any:
        """The value of `objective:` in a study file."""

    @abstractmethod
    def n_steps(self, params: Params) -> int | None:
        """The steps of a full trial; None when the objective alone knows."""

    @abstractmethod
    def structural_params(self, params: Params, space: SearchSpace) -> frozenset[str]:
        """Lanes that agree in these can share a group; empty where trials train alone."""

    @abstractmethod
    def preparation(self, params: Params, space: SearchSpace, folder: Path) -> dict[str, Any]:
        """The request to the child that prepares it on a machine, as JSON values.

        `folder` is the one that names of the user's code are relative to.
        """


class ObjectiveKind(ABC):
    """How a kind of objective is written in a study file."""

    spec: type[Objective]

    @abstractmethod
    def is_meant(self, node: Node | None) -> bool:
        """Whether a value of `objective:` is meant to be of this kind."""

    @abstractmethod
    def read(self, item: Item, folder: Path) -> Objective | None:
        """The objective; None after a fault."""

    @abstractmethod
    def known_params(self, node: Node | None) -> KnownParams:
        """The params that it takes, also where its value is not right in everything."""

    @abstractmethod
    def goal_fault(
        self, metric: str, direction: Direction, objective: Objective | None, node: Node | None
    ) -> str:
        """What is wrong with a goal, or nothing. `objective` is None after a fault in `node`."""

    @abstractmethod
    def lanes_fault(self, lanes: int) -> str:
        """What is wrong with so many lanes, or nothing."""

    @abstractmethod
    def code_nodes(self, node: Node) -> Sequence[Node]:
        """The values that may name code of the user."""

    @abstractmethod
    def schema(self) -> Schema:
        """JSON Schema of the value of `objective:`."""

    def sections(self) -> Sequence[tuple[Schema, Mapping[str, Schema]]]:
        """(condition on `objective:`, narrower schemas of other sections); the first that holds."""
        return ()
