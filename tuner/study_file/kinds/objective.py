"""The part of every kind of objective in a study file: its record and its reader."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from tuner.study.trial import Direction, Params, ParamValue
from tuner.study_file.frozen import Model
from tuner.study_file.params.space import SearchSpace
from tuner.study_file.params.trainer_params import KnownParams
from tuner.study_file.schema.parts import Schema
from tuner.study_file.text.items import Item, Section
from tuner.study_file.text.yaml_nodes import Node

MAX_LANES = 4096
MAX_RANKS = 64  # processes, or GPUs, of a trial


class Objective(Model, ABC):
    """The objective of a study, as stored.

    Other layers use its methods, and never test its type.
    """

    kind: ClassVar[str]  # the name of its part in every layer
    max_lanes: ClassVar[int] = MAX_LANES  # trials that can train together in one process
    is_single_use: ClassVar[bool] = False  # a worker process ends after one trial
    has_prepared_data: ClassVar[bool] = True  # False: the user's code reads its own
    counts_epochs: ClassVar[bool] = True  # False: only the params determine the unit of a step
    noun: ClassVar[str] = "trainer"  # what trains, for messages
    seconds_metric: ClassVar[str | None] = None  # the reported metric that is a step's duration

    @property
    @abstractmethod
    def code_names(self) -> tuple[str, ...]:
        """Return the user's code that it names, as `module:name` or `path/file.py:name`."""

    @property
    def command_line(self) -> str | None:
        """Return the command of the user that it runs, for people."""
        return None

    @property
    def label(self) -> str:
        """Return the name of what trains: the user's code, or the model."""
        return self.command_line or ", ".join(self.code_names)

    @property
    def path_names(self) -> tuple[str, ...]:
        """Return the files and folders of a machine that it names."""
        return ()

    @property
    def local_names(self) -> tuple[str, ...]:
        """Return code and files; a database must not choose them."""
        return (*self.code_names, *self.path_names)

    @property
    def local_use(self) -> tuple[str, str]:
        """Return the use of `local_names`, and what a database may not choose."""
        if self.code_names:
            return "trains your own code", "the code that runs"
        return "reads files of your own", "the files that are read"

    @property
    def is_same_in_company(self) -> bool:
        """Return whether a trial has the same bits in any group."""
        return True

    @property
    def seed_advice(self) -> str:
        """Return how the user's code gets the seed of a trial, as advice."""
        return ""

    @property
    def helpful_params(self) -> frozenset[str]:
        """Return the params that advice on a study may name, besides those that it searches."""
        return frozenset()

    @classmethod
    @abstractmethod
    def complete(cls, params: Params) -> dict[str, ParamValue]:
        """Return the params with the objective's own defaults."""

    @property
    def own_defaults(self) -> Mapping[str, ParamValue]:
        """Return defaults that belong to this objective alone, beyond those of `complete`."""
        return {}

    @abstractmethod
    def written(self) -> Any:
        """Return the value of `objective:` in a study file."""

    def identity(self) -> Any:
        """Return the values that make another study, in the form of `written`."""
        return self.written()

    @abstractmethod
    def n_steps(self, params: Params) -> int | None:
        """Return the steps of a full trial; None when only the objective knows."""

    @abstractmethod
    def structural_params(self, params: Params, space: SearchSpace) -> frozenset[str]:
        """Return the params in which lanes of a group must agree; empty if trials train alone."""

    @abstractmethod
    def preparation(self, params: Params, space: SearchSpace, folder: Path) -> dict[str, Any]:
        """Return the request to the child that prepares it on a machine, as JSON values.

        Names of the user's code are relative to `folder`.
        """

    def look_request(self, folder: Path) -> dict[str, Any] | None:
        """Return the request to the child that looks at its data; None without data to look at."""
        return None

    def baseline_request(
        self, params: Params, space: SearchSpace, folder: Path
    ) -> dict[str, Any] | None:
        """Return the request to the child that fits simple models to its data.

        None if only its own code can read the data.
        """
        return None

    def task_faults(self, task: str, names: Collection[str], metric: str) -> tuple[str, ...]:
        """Return why loss, metrics, params (`names`) or goal do not fit the task of the data."""
        return ()

    @property
    def look_runs_code(self) -> bool:
        """Return whether a look at its data runs code of the user."""
        return False


class ObjectiveKind(ABC):
    """The syntax of a kind of objective in a study file."""

    spec: type[Objective]

    @abstractmethod
    def is_meant(self, node: Node | None) -> bool:
        """Return whether a value of `objective:` is meant to be of this kind."""

    @abstractmethod
    def read(self, item: Item, folder: Path) -> Objective | None:
        """Read the objective; None after a fault."""

    @abstractmethod
    def known_params(self, node: Node | None) -> KnownParams:
        """Return the params that it takes, even if its value has faults."""

    @abstractmethod
    def goal_fault(
        self, metric: str, direction: Direction, objective: Objective | None, node: Node | None
    ) -> str:
        """Return the fault of a goal, or nothing; `objective` is None after a fault in `node`."""

    def check_params(
        self, objective: Objective | None, entries: Section, item: Item | None, folder: Path
    ) -> None:
        """Report params and ranges that do not fit the objective in `item`.

        It is None after a fault.
        """
        return

    @abstractmethod
    def lanes_fault(self, lanes: int) -> str:
        """Return the fault of this number of lanes, or nothing."""

    @abstractmethod
    def ranks_fault(self, objective: Objective | None, n_ranks: int) -> str:
        """Return why no trial can have several GPUs or processes, or nothing.

        `n_ranks` processes train it: one, if its program uses several GPUs itself. `objective` is
        None after a fault.
        """

    @abstractmethod
    def code_nodes(self, node: Node) -> Sequence[Node]:
        """Return the values that may name code of the user."""

    @abstractmethod
    def schema(self) -> Schema:
        """Return the JSON Schema of the value of `objective:`."""

    def sections(self) -> Sequence[tuple[Schema, Mapping[str, Schema]]]:
        """Return pairs (condition on `objective:`, narrower schemas); the first match applies."""
        return ()
