"""The breaker stops a device or machine on which trials fail that do well elsewhere.

Telling a bad machine from a bad trial takes both sides: the trial's own machine sees only failures,
the others only a trial that was released to them.
"""

from collections.abc import Iterable

from tuner.agent.acts import Act, AskElsewhere, Leave, Say
from tuner.agent.events import ElsewhereHeard
from tuner.agent.machine import Machine
from tuner.agent.notices import BreakerOpened
from tuner.agent.state import Lane
from tuner.errors import CannotWork
from tuner.study.ending import Ending, EndingKind
from tuner.study.failure import FailureClass, Fault
from tuner.study.lease import End, Finish

TRIP_AFTER = 3  # failures in a row of trials that came further elsewhere
ASK_SECONDS = 2.0  # between questions how these trials fare
FIRST_HOLD_SECONDS = 5.0  # between claims after a row of failures; doubles with each further one
MAX_HOLD_SECONDS = 300.0
MAX_EXITS = 20  # remembered, each with all of its faults

# Causes that a machine can be responsible for and that are retried, so that another machine can
# show which it was.
_SUSPECT = {
    FailureClass.EXCEPTION,
    FailureClass.EXIT,
    FailureClass.CRASH,
    FailureClass.KILLED,
}


def note(machine: Machine, lane: Lane, end: End, place: str) -> None:
    """Count the end of an attempt on a device: a failure against it, any other end for it."""
    breaker = machine.breaker
    if end.failure is None:
        if isinstance(end, Finish):
            breaker.good_at, breaker.hold_until = machine.now, 0.0
            breaker.faults = [fault for fault in breaker.faults if fault.place != place]
            for fault in breaker.faults:
                fault.fared_better |= fault.key.number == lane.key.number
        return
    if end.failure.cause not in _SUSPECT:
        return
    fault = Fault(key=lane.key, place=place, step=lane.last_step, at=machine.now)
    breaker.faults.append(fault)
    deaths = _deaths(breaker.faults)
    kept = set(sorted(deaths, key=_when)[-MAX_EXITS:])
    breaker.faults = [fault for fault in breaker.faults if (fault.place, fault.at) in kept]
    n_in_a_row = sum(at > breaker.good_at for _, at in deaths)
    if n_in_a_row >= TRIP_AFTER and machine.fleet.n_other_machines:
        # Meanwhile others show whether the trials or this machine are at fault.
        doublings = n_in_a_row - TRIP_AFTER
        pause = min(FIRST_HOLD_SECONDS * 2**doublings, MAX_HOLD_SECONDS)
        breaker.hold_until = machine.now + pause


def due_acts(machine: Machine) -> list[Act]:
    """Ask how trials that failed here fare elsewhere, while enough of them are in doubt."""
    breaker = machine.breaker
    in_doubt = [fault for fault in breaker.faults if not fault.fared_better]
    acts = _trip(machine)
    if len(_deaths(breaker.faults)) < TRIP_AFTER or not in_doubt or breaker.is_asking:
        return acts
    if machine.now < breaker.ask_at or not machine.fleet.n_other_machines:
        return acts
    breaker.is_asking, breaker.ask_at = True, machine.now + ASK_SECONDS
    return [*acts, AskElsewhere(faults=tuple(in_doubt))]


def heard(machine: Machine, event: ElsewhereHeard) -> list[Act]:
    """Count the trials that got further on other machines."""
    machine.breaker.is_asking = False
    for fault in machine.breaker.faults:
        fault.fared_better |= fault.key.number in event.numbers
    return []


def _deaths(faults: Iterable[Fault]) -> set[tuple[str, float]]:
    """Return device and time of the failures: the trials of one crashed process count as one."""
    return {(fault.place, fault.at) for fault in faults}


def _when(death: tuple[str, float]) -> float:
    return death[1]


def _trip(machine: Machine) -> list[Act]:
    breaker = machine.breaker
    # When a process dies, all of its trials but one are innocent and do well elsewhere in any case:
    # the crash counts against the device only when all of them do.
    in_doubt = _deaths(fault for fault in breaker.faults if not fault.fared_better)
    deaths = _deaths(breaker.faults) - in_doubt
    better = [fault for fault in breaker.faults if (fault.place, fault.at) in deaths]
    breaker.places |= {worker.name for worker in machine.workers.values()}
    places = [place for place, _ in deaths]
    bad = {place for place in breaker.places if places.count(place) >= TRIP_AFTER}
    if sum(at > breaker.good_at for _, at in deaths) >= TRIP_AFTER:
        bad = breaker.places  # nothing has ended well anywhere on this machine meanwhile
    new = bad - breaker.open_places
    acts: list[Act] = []
    if new:
        breaker.open_places |= new
        numbers = tuple(sorted({fault.key.number for fault in better}))
        notice = BreakerOpened(places=tuple(sorted(new)), numbers=numbers)
        machine.shown.alerts.append((machine.now, notice.sentence))
        acts.append(Say(notice=notice))
    if breaker.has_no_device and not machine.lanes and not machine.claims.is_claiming:
        text = "trials that fail on this machine do well on others; compare it with them"
        error = CannotWork(f"{text} (trials {_listed(better)})")
        acts.append(Leave(ending=Ending(kind=EndingKind.FAILED, error=error)))
    return acts


def _listed(faults: list[Fault]) -> str:
    return ", ".join(map(str, sorted({fault.key.number for fault in faults})))
