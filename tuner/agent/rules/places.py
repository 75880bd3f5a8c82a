"""Which trials train together: how many to ask for, and which worker gets one."""

import math
from collections.abc import Mapping, Sequence

from tuner.agent.machine import Machine
from tuner.agent.rules.failures import LOSSES_TOGETHER
from tuner.agent.rules.memory import with_memory
from tuner.agent.state import Lane, Phase, WorkerState
from tuner.study.agents import Desired
from tuner.study.trial import ParamValue

# So many lanes more a worker may have than another because it trains others of the same kind.
_AFFINITY = 4
_FEW = 4  # of the lanes in training: a smaller part is not worth a claim of its own at once


def wanted_and_room(machine: Machine) -> tuple[int, int]:
    """How many trials to ask for, and how many could be trained if they have begun or wait already.

    Of a stopping study, one to hear when all of it has ended.
    """
    match machine.wanted:
        case Desired.RUNNING:
            return _wanted_to_train(machine)
        case Desired.STOPPING:
            n = 0 if machine.lanes else 1
            return n, n
        case Desired.PAUSED | Desired.HALTED:
            return 0, 0


def due(machine: Machine, n_wanted: int, n_room: int) -> float | None:
    """When to ask: at once for a worker without a trial, else after a moment in which more places
    may become free, so that those who come together can share a group. None: not at all.
    """
    if not n_room:
        return None
    if not n_wanted:
        # Enough have begun; perhaps not all of them are in training.
        n_own = sum(lane.phase is not Phase.ENDING for lane in machine.lanes.values())
        has_others = len(_open(machine)) > n_own
        return max(machine.claim_at, machine.claims.look_at) if has_others else None
    lanes = machine.lanes_by_worker()
    n_training = sum(map(len, lanes.values()))
    is_urgent = machine.wanted is not Desired.RUNNING or _n_idle(machine, lanes) > 0
    if is_urgent or n_wanted * _FEW >= n_training:
        return machine.claim_at
    if machine.claims.fill_at is None:
        machine.claims.fill_at = machine.now + machine.book.fill_seconds
    return max(machine.claim_at, machine.claims.fill_at)


def _wanted_to_train(machine: Machine) -> tuple[int, int]:
    """Free places, as far as the study has use for more trials at a time; and all of them."""
    lanes, share = machine.lanes_by_worker(), _share(machine)
    free = _open_to_any(machine, lanes)
    if not free:
        return 0, 0
    n_places = sum(max(0, min(w.n_free, share - len(lanes.get(p, ())))) for p, w in free.items())
    n_idle = sum(pid not in lanes for pid in free)
    most = machine.book.most_in_flight
    n_new = n_places if most is None else min(n_places, most - len(_open(machine)))
    held = sum(
        lane.phase in (Phase.QUEUED, Phase.LOADING) and not _is_suspect(lane)
        for lane in machine.lanes.values()
    )
    return max(0, max(n_idle, n_new) - held), max(0, max(n_idle, n_places) - held)


def _n_idle(machine: Machine, lanes: Mapping[int, Sequence[Lane]]) -> int:
    """Workers with room and without a trial."""
    return sum(pid not in lanes for pid in _open_to_any(machine, lanes))


def _open_to_any(
    machine: Machine, lanes: Mapping[int, Sequence[Lane]]
) -> Mapping[int, WorkerState]:
    """Workers with room for any trial: not those that a suspect has, or is about to get."""
    free = _with_room(machine, lanes)
    reserved = _reserved(machine, lanes)
    return {pid: worker for pid, worker in free.items() if pid != reserved}


def _with_room(machine: Machine, lanes: Mapping[int, Sequence[Lane]]) -> Mapping[int, WorkerState]:
    free = {pid: worker for pid, worker in machine.usable_workers().items() if worker.n_free > 0}
    if not free:
        return free
    allowed = with_memory(machine, lanes)
    return {
        pid: worker
        for pid, worker in free.items()
        if pid in allowed and not any(map(_is_suspect, lanes.get(pid, ())))
    }


def _share(machine: Machine) -> int:
    """The most trials that one worker trains at a time: an equal part of half of those left.

    Else the last trials would share a device while others stand idle, and an agent that comes late
    would find nothing to do. Source: factoring (Flynn Hummel, Schonberg & Flynn, 1992); other
    agents are taken to be like this one.
    """
    if machine.limit_trials is None:
        return 10**9
    n_final = sum(machine.standing.counts.values())
    n_workers = max(1, len(machine.workers) * (1 + machine.fleet.n_other_agents))
    return max(1, math.ceil((machine.limit_trials - n_final) / (2 * n_workers)))


def _open(machine: Machine) -> frozenset[int]:
    """The study's trials that have begun and not ended, as far as this machine has heard."""
    own = {lane.key.number for lane in machine.lanes.values() if lane.phase is not Phase.ENDING}
    ended = {lane.key.number for lane in machine.lanes.values() if lane.phase is Phase.ENDING}
    return (machine.standing.open_numbers - machine.standing.waiting | own) - ended


def choose_worker(machine: Machine, lane: Lane) -> int | None:
    """The worker with the fewest lanes, rather one that trains others of the same kind.

    A trial that has been lost again and again trains alone: whoever shares a process with it would
    be lost too.
    """
    lanes = machine.lanes_by_worker()
    if _is_suspect(lane):
        return next((pid for pid in _with_room(machine, lanes) if pid not in lanes), None)
    kind = _kind(machine, lane)

    def load(pid: int) -> int:
        others = lanes.get(pid, ())
        has_kind = any(_kind(machine, other) == kind for other in others)
        return len(others) + (0 if has_kind else _AFFINITY)

    return min(_open_to_any(machine, lanes), key=load, default=None)


def _is_suspect(lane: Lane) -> bool:
    return lane.trial.losses >= LOSSES_TOGETHER


def _reserved(machine: Machine, lanes: Mapping[int, Sequence[Lane]]) -> int | None:
    """The worker that is emptied for a suspect."""
    if not any(map(_is_suspect, machine.in_phase(Phase.QUEUED))):
        return None
    usable = machine.usable_workers()
    return min(usable, key=lambda pid: len(lanes.get(pid, ())), default=None)


def _kind(machine: Machine, lane: Lane) -> tuple[ParamValue, ...]:
    params = lane.trial.params
    return tuple(params.get(name) for name in sorted(machine.book.structural))
