"""Machines and devices that a user has drained: their trials are released and none begin there."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from tuner.study.places import overlaps, place_of


@dataclass(frozen=True, kw_only=True)
class Drain:
    """A drained machine or device, as its agents and the pages see it."""

    host: str
    device: str | None  # "gpu:0"; None: the whole machine
    by: str  # user@host
    role: str  # of the database
    at: datetime
    reason: str | None = None
    boot: str | None = None  # of one of several machines with this name
    is_for_all_studies: bool = False

    @property
    def what(self) -> str:
        """Return `node1`, or `node1 gpu:0`."""
        return self.host if self.device is None else f"{self.host} {self.device}"

    @property
    def why(self) -> str:
        """Return `drained by anna@laptop: maintenance`."""
        return f"drained by {self.by}{f': {self.reason}' if self.reason else ''}"

    def document(self) -> dict[str, object]:
        """Return it as JSON values."""
        return {**asdict(self), "at": self.at.isoformat()}

    def is_of(self, host: str, boot: str) -> bool:
        """Return whether it holds for agents on this machine."""
        return self.host == host and self.boot in (None, boot)

    def covers(self, place: str) -> bool:
        """Return whether trials of this place of the machine use what is drained."""
        return self.device is None or overlaps(self.device, place)


def drained_places(drains: Iterable[Drain], places: Sequence[str]) -> dict[str, str]:
    """Return the places of a machine that its drains cover, each with the reason."""
    found: dict[str, str] = {}
    for drain in drains:
        for place in places:
            if drain.covers(place_of(place)):
                found.setdefault(place, drain.why)
    return found


@dataclass(frozen=True, kw_only=True)
class Drained:
    """The result of `tuner drain` and `tuner undrain`."""

    drains: Sequence[Drain]  # that began, or were lifted
    role: str
    was_so: bool = False  # nothing had to be changed
    n_agents: int = 0  # that live there
    n_others: int = 0  # agents that can continue the trials
