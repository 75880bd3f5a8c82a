"""What the worker's loop needs of a kind of objective."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tuner.messages import Setup
from tuner.study.code import Code
from tuner.study.trial import Params
from tuner.training.lane import Lane
from tuner.worker.exits import Exit


class Objective(Protocol):
    """What a worker trains."""

    is_single_use: bool  # the process ends after its first lane
    is_stepwise: bool  # its state changes only from step to step

    def complete(self, params: Params) -> Params:
        """With the objective's own defaults."""

    def admit(self, lanes: Sequence[Lane]) -> None:
        """They train from the next turn on."""

    def room(self) -> int:
        """How many more lanes are welcome."""

    def turn(self) -> Iterator[Exit]:
        """Train some of the lanes for a while; yields those that leave, raises `LaneFailed`."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """How a worker trains a kind of objective."""

    warm_up: Callable[[], None]  # while the agent still opens its database
    build: Callable[[Setup], Objective]
    is_program: bool  # the process is the user's: its lines are flushed, its exit functions run


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What a machine needs of an objective, once for all trials."""

    folder: str  # of the data set; empty where there is none
    fingerprint: str  # of the data; empty where there are none
    metrics: Mapping[str, str] | None  # that a study may optimize, with their direction; None: any
    summary: str  # one line for people
    code: Code  # hashes of the user's files


# From the request of `study_file.kinds`, with "data_folder" added; raises `BadCode`.
Prepare = Callable[[Mapping[str, Any]], Prepared]
