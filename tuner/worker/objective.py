"""What the worker's loop needs of a kind of objective."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tuner.messages import Setup
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


# {"folder": where, "fingerprint": of the data, "summary": for people, "code": hashes by file} from
# the request of `study_file.kinds`, with "data_folder" added; raises `BadCode`.
Prepare = Callable[[Mapping[str, Any]], Mapping[str, Any]]
