"""`tuner drain`: machines and devices whose trials are released, and on which none begin."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from tuner.errors import NeedsConsent, NotFound, UsageError
from tuner.storage.connections.connection import Database
from tuner.storage.connections.sessions import Row, Session, run
from tuner.storage.work.drained import build_drain
from tuner.study.fleet import Drain, Drained, drained_places
from tuner.study.places import overlaps, place_of

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

_SHORT = 8  # characters of an agent's id that messages show
_MAX_LISTED = 8


@dataclass(frozen=True, kw_only=True)
class _Agent:
    agent_id: UUID
    study_id: int
    study: str
    host: str
    boot: str
    pid: int
    places: tuple[str, ...]  # of its workers
    is_here: bool  # its heartbeats come

    @property
    def short_id(self) -> str:
        return self.agent_id.hex[:_SHORT]


@dataclass(frozen=True, kw_only=True)
class _Machine:
    """The machine that a user named."""

    host: str
    boot: str | None  # None: its name is enough
    agents: Sequence[_Agent]  # of all time


@dataclass(frozen=True, kw_only=True)
class _Held:
    drain_id: int
    drain: Drain


class Drains:
    """Drains of one study, or of all studies of a database.

    Errors: `UsageError`, `NotFound`, `DatabaseError`.
    """

    def __init__(self, database: Database, study_id: int | None) -> None:
        """Build it for a study, or for all of them with None."""
        self._database = database
        self._study_id = study_id

    def drain(
        self, name: str, device: str | None, who: str, reason: str = "", *, is_sure: bool = False
    ) -> Drained:
        """Drain a machine, or one device of it, until `undrain`.

        Raises `NeedsConsent` if no other machine would be left for a study, unless `is_sure`, and
        `UsageError` for a name that fits several machines.
        """
        with self._locked() as (cursor, role):
            agents = self._agents(cursor)
            machine = _find_machine(agents, name)
            there = [a for a in machine.agents if a.is_here]
            _check_device(machine, device)
            held = [one.drain for one in self._held(cursor)]
            same = [one for one in held if self._is_same(one, machine, device)]
            if same:
                return self._drained(cursor, same, role, agents, was_so=True)
            new = {"host": machine.host, "boot": machine.boot, "device": device}
            run(cursor, "fleet", "drain", {**self._study, **new, "who": who, "reason": reason})
            after = [one.drain for one in self._held(cursor)]
            if there and not is_sure:
                _check_last(agents, held, after)
            begun = [one for one in after if self._is_same(one, machine, device)]
            self._note(cursor, "drain", begun, role)
            return self._drained(cursor, begun, role, agents)

    def undrain(self, name: str, device: str | None, who: str) -> Drained:
        """Lift the drains of a machine, or of one device; raises `NotFound` if there are none."""
        with self._locked() as (cursor, role):
            agents = self._agents(cursor)
            of_name = [one for one in self._held(cursor) if _is_named(one.drain, name, agents)]
            mine = [one for one in of_name if one.drain.is_for_all_studies == self._is_for_all]
            lifted = [one for one in mine if device is None or one.drain.device == device]
            if not lifted:
                raise NotFound(_why_nothing(name, device, [one.drain for one in of_name]))
            ids = [one.drain_id for one in lifted]
            run(cursor, "fleet", "lift", {"drain_ids": ids, "who": who})
            drains = [one.drain for one in lifted]
            self._note(cursor, "undrain", drains, role, who)
            return self._drained(cursor, drains, role, agents)

    @property
    def _study(self) -> dict[str, object]:
        return {"study_id": self._study_id}

    @property
    def _is_for_all(self) -> bool:
        return self._study_id is None

    @contextmanager
    def _locked(self) -> Iterator[tuple["Cursor", str]]:
        """Open a transaction in which no other command drains; it ends with the last error."""
        session = Session(self._database)
        try:
            with session.transaction("fleet", "lock_drains", self._study) as (cursor, ((role,),)):
                yield cursor, role
        finally:
            session.close()

    def _agents(self, cursor: "Cursor") -> list[_Agent]:
        return [_agent(row) for row in run(cursor, "fleet", "machines", self._study)]

    def _held(self, cursor: "Cursor") -> list[_Held]:
        return [
            _Held(drain_id=row[0], drain=build_drain(row[1:]))
            for row in run(cursor, "fleet", "held", self._study)
            if not (self._is_for_all and row[1] is not None)
        ]

    def _is_same(self, drain: Drain, machine: _Machine, device: str | None) -> bool:
        return (
            drain.host == machine.host
            and drain.boot in (None, machine.boot)
            and drain.device == device
            and drain.is_for_all_studies == self._is_for_all
        )

    def _note(
        self, cursor: "Cursor", kind: str, drains: Sequence[Drain], role: str, who: str = ""
    ) -> None:
        for drain in drains:
            by = f"undrained by {who}" if who else drain.why
            detail = f"{drain.what}: {by} (role {role})"
            about = {"kind": kind, "detail": detail, "device": drain.device}
            run(cursor, "fleet", "note", {**self._study, **about})

    def _drained(
        self,
        cursor: "Cursor",
        drains: Sequence[Drain],
        role: str,
        agents: Sequence[_Agent],
        *,
        was_so: bool = False,
    ) -> Drained:
        held = [one.drain for one in self._held(cursor)]
        at_work = [a for a in agents if a.is_here and _works(a, held)]
        there = [a for a in agents if a.is_here and any(d.is_of(a.host, a.boot) for d in drains)]
        return Drained(
            drains=drains,
            role=role,
            was_so=was_so,
            n_agents=len(there),
            n_others=sum(a.agent_id not in {one.agent_id for one in there} for a in at_work),
        )


def _agent(row: Row) -> _Agent:
    agent_id, study_id, study, host, boot, pid, devices, is_here = row
    return _Agent(
        agent_id=agent_id,
        study_id=study_id,
        study=study,
        host=host,
        boot=boot,
        pid=pid,
        places=tuple(dict.fromkeys(place_of(device) for device in devices)),
        is_here=is_here,
    )


def _find_machine(agents: Sequence[_Agent], name: str) -> _Machine:
    """Return the machine of a host name, of its beginning up to a dot, or of an agent's id."""
    by_id = [a for a in agents if len(name) >= _SHORT and a.agent_id.hex.startswith(name)]
    named = [a for a in agents if a.host == name] or [
        a for a in agents if a.host.startswith(f"{name}.")
    ]
    if not named and by_id:
        (boot, host), *more = {(a.boot, a.host) for a in by_id}
        if not more:
            return _Machine(
                host=host, boot=boot, agents=[a for a in agents if (a.boot, a.host) == (boot, host)]
            )
    if not named:
        hosts = sorted({a.host for a in agents})
        known = f"its machines are {_listed(hosts)}" if hosts else "no machine has worked on it yet"
        raise NotFound(f"no machine {name!r}; {known}")
    hosts = sorted({a.host for a in named})
    here = [a for a in named if a.is_here]
    if len(hosts) > 1 or len({a.boot for a in here}) > 1:
        shown = {(a.host, a.boot): a for a in here or named}.values()
        agents_of = _listed([f"{a.short_id} ({a.host}, pid {a.pid})" for a in shown])
        raise UsageError(
            f"{name!r} names several machines; name one by its agent instead: {agents_of}"
        )
    return _Machine(host=hosts[0], boot=None, agents=named)


def _check_device(machine: _Machine, device: str | None) -> None:
    """Refuse a device that no agent of the machine has ever had, or that several have."""
    if device is None:
        return
    places = dict.fromkeys(p for a in machine.agents if a.is_here for p in a.places) or (
        dict.fromkeys(p for a in machine.agents for p in a.places)
    )
    if not any(overlaps(device, place) for place in places):
        raise NotFound(
            f"{machine.host} has no device {device!r}; its devices are {_listed(list(places))}"
        )


def _works(agent: _Agent, held: Sequence[Drain]) -> bool:
    mine = [drain for drain in held if drain.is_of(agent.host, agent.boot)]
    return len(drained_places(mine, agent.places)) < len(agent.places)


def _check_last(agents: Sequence[_Agent], before: Sequence[Drain], after: Sequence[Drain]) -> None:
    here = [a for a in agents if a.is_here]
    stopped = sorted(
        {a.study for a in here if _works(a, before)} - {a.study for a in here if _works(a, after)}
    )
    if stopped:
        which = "study" if len(stopped) == 1 else "studies"
        raise NeedsConsent(
            f"no other machine works on {which} {_listed([repr(name) for name in stopped])}, "
            "whose trials would wait"
        )


def _is_named(drain: Drain, name: str, agents: Sequence[_Agent]) -> bool:
    if drain.host == name or drain.host.startswith(f"{name}."):
        return True
    by_id = [a for a in agents if len(name) >= _SHORT and a.agent_id.hex.startswith(name)]
    return any(drain.is_of(a.host, a.boot) for a in by_id)


def _why_nothing(name: str, device: str | None, held: Sequence[Drain]) -> str:
    what = name if device is None else f"{name} {device}"
    if not held:
        return f"{what} is not drained; tuner status shows what is"
    others = _listed(
        [f"{drain.what}{' for all studies' if drain.is_for_all_studies else ''}" for drain in held]
    )
    return f"there is no such drain of {what}, only of {others}; lift that one"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    return ", ".join(names[:_MAX_LISTED]) + more
