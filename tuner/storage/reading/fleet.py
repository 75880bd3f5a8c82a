"""The studies on which the agents of a fleet could work."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tuner.storage.connections.sessions import Session
from tuner.storage.work.drained import build_drain
from tuner.study.fleet import Drain
from tuner.study_file.identity import parse_spec
from tuner.study_file.model import StudySpec


@dataclass(frozen=True, kw_only=True)
class OpenStudy:
    """A study that runs."""

    study_id: int
    name: str
    priority: int
    spec: StudySpec | None  # None: another version of tuner made it
    n_claimable: int  # trials that an agent could claim now

    @property
    def is_readable(self) -> bool:
        return self.spec is not None

    @property
    def needs_study_file(self) -> bool:
        """Return whether it names code or files, which only a file on a machine may choose."""
        return self.spec is None or self.spec.needs_study_file

    def units_per_trial(self, *, has_gpus: bool) -> int:
        """Return the GPUs, or on a machine without GPUs the shares of the CPU, of a trial."""
        if self.spec is None:
            return 1
        return self.spec.workers.gpus_per_trial if has_gpus else self.spec.workers.n_ranks


def _parsed(spec: Mapping[str, Any]) -> StudySpec | None:
    try:
        return parse_spec(spec)
    except ValueError:
        return None


def read_held_drains(session: Session) -> list[tuple[int | None, Drain]]:
    """Return the drains that hold, each with its study, None for all; raises `DatabaseError`."""
    rows = session.rows("fleet", "held", {"study_id": None})
    return [(row[1], build_drain(row[1:])) for row in rows]


def read_work(session: Session) -> list[OpenStudy]:
    """Return the running studies, the most important first; raises `DatabaseError`."""
    return [
        OpenStudy(
            study_id=study_id,
            name=name,
            priority=priority,
            spec=_parsed(spec),
            n_claimable=int(n_claimable),
        )
        for study_id, name, priority, spec, n_claimable in session.rows("fleet", "work", {})
    ]
