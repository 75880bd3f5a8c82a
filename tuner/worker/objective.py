"""Port between the worker's loop and a kind of objective."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tuner.messages import Setup
from tuner.study.code import Code
from tuner.study.trial import Params
from tuner.training.lane import Lane
from tuner.worker.exits import Exit
from tuner.worker.source_files import FileState


class Objective(Protocol):
    is_single_use: bool  # the process ends after its first lane
    is_stepwise: bool  # its state changes only from step to step

    def complete(self, params: Params) -> Params:
        """Add the objective's own defaults."""

    def admit(self, lanes: Sequence[Lane]) -> None:
        """Add lanes, which train from the next turn on."""

    def room(self) -> int:
        """Return how many more lanes have room."""

    def turn(self) -> Iterator[Exit]:
        """Train some of the lanes for a while; yield those that leave; raises `LaneFailed`."""


# Import the code of a name, relative to a folder; return its files, to look for changes. Raises
# `BadCode`.
Preload = Callable[[str, str], Mapping[Path, FileState]]


@dataclass(frozen=True, kw_only=True)
class Training:
    """The functions with which a worker trains a kind of objective."""

    warm_up: Callable[[], None]  # while the agent still opens its database
    build: Callable[[Setup], Objective]
    set_threads: Callable[[int], None]  # that training may use on a CPU
    is_program: bool  # the process is the user's: its lines are flushed, its exit functions run
    preload: Preload | None = None  # the user's code, once for all workers; None: there is none
    # A process is forked for every trial: the template makes that cheap, which takes it a while.
    is_forked_often: bool = False


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """The prepared objective of a machine, used by all trials."""

    folder: str  # of the data set; empty without one
    fingerprint: str  # of the data; empty without data
    metrics: Mapping[str, str] | None  # that a study may optimize, with their direction; None: any
    summary: str  # one line for people
    code: Code  # hashes of the user's files
    n_rows: int | None = None  # of the data; None without data


# From the request of `study_file.kinds`, with "data_folder" added; raises `BadCode`.
Prepare = Callable[[Mapping[str, Any]], Prepared]
