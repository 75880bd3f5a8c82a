"""Placement: the number of trials to claim, and the worker of each."""

import math
from collections.abc import Mapping, Sequence

from tuner.agent.machine import Machine
from tuner.agent.rules.failures import LOSSES_TOGETHER
from tuner.agent.rules.memory import large_enough, with_memory
from tuner.agent.state import Lane, Phase, WorkerState
from tuner.study.agents import Desired
from tuner.study.trial import ParamValue

# So many lanes more a worker may have than another because it trains others of the same kind.
_AFFINITY = 4
_FEW = 4  # of the lanes in training: a smaller part is not worth an immediate claim of its own


def wanted_and_room(machine: Machine) -> tuple[int, int]:
    """Return how many trials to claim, and how many begun or waiting ones fit.

    For a stopping study the claim asks for one, to learn when all of it has ended.
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
    """Return when to claim; None for not at all.

    A worker without a trial claims at once. Otherwise the claim waits a moment in which more lanes
    may become free, so that trials that start together can share a group.
    """
    if machine.blocks.has_no_device and machine.wanted is Desired.RUNNING and not machine.lanes:
        return max(machine.claim_at, machine.claims.look_at)  # to learn when all of it has ended
    if not n_room or any(lane.has_failed for lane in machine.lanes.values()):
        return None  # once it is stored, a failure may have halted the study
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
    """Return the free lanes that the study has use for, and all free lanes."""
    lanes, share = machine.lanes_by_worker(), _share(machine)
    free = _open_to_any(machine, lanes)
    n_soon = _n_soon(machine)
    if not free and not n_soon:
        return 0, 0
    n_places = sum(max(0, min(w.n_free, share - len(lanes.get(p, ())))) for p, w in free.items())
    n_places += n_soon
    n_idle = sum(pid not in lanes for pid in free) + n_soon
    most = machine.book.max_in_flight
    n_new = n_places if most is None else min(n_places, most - len(_open(machine)))
    held = sum(
        lane.phase in (Phase.QUEUED, Phase.LOADING) and not _is_suspect(lane)
        for lane in machine.lanes.values()
    )
    return max(0, max(n_idle, n_new) - held), max(0, max(n_idle, n_places) - held)


def _n_idle(machine: Machine, lanes: Mapping[int, Sequence[Lane]]) -> int:
    """Return the number of workers with room and without a trial, now or in a moment."""
    n_now = sum(pid not in lanes for pid in _open_to_any(machine, lanes))
    return n_now + _n_soon(machine)


def _n_soon(machine: Machine) -> int:
    """Return the number of workers whose process ends while the next one is there already.

    Their next trials are claimed meanwhile. A suspect waits for a worker of its own first.
    """
    if any(map(_is_suspect, machine.in_phase(Phase.QUEUED))):
        return 0
    return sum(worker.has_successor for worker in machine.usable_workers().values())


def _open_to_any(
    machine: Machine, lanes: Mapping[int, Sequence[Lane]]
) -> Mapping[int, WorkerState]:
    """Return workers with room for any trial: those without a suspect, now or next."""
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
    """Return the maximum number of trials of a worker: an equal share of half of those left.

    Otherwise the last trials would share a device while others are idle, and an agent that joins
    late would find no trials. Source: factoring (Flynn Hummel, Schonberg & Flynn, 1992). Other
    agents are assumed to have the same devices.
    """
    if machine.limit_trials is None:
        return 10**9
    n_final = sum(machine.standing.counts.values())
    n_workers = max(1, len(machine.workers) * (1 + machine.fleet.n_other_agents))
    return max(1, math.ceil((machine.limit_trials - n_final) / (2 * n_workers)))


def _open(machine: Machine) -> frozenset[int]:
    """Return the study's trials that have begun and not ended, as far as the feed shows."""
    own = {lane.key.number for lane in machine.lanes.values() if lane.phase is not Phase.ENDING}
    ended = {lane.key.number for lane in machine.lanes.values() if lane.phase is Phase.ENDING}
    return (machine.standing.open_numbers - machine.standing.waiting | own) - ended


def choose_worker(machine: Machine, lane: Lane) -> int | None:
    """Return the worker with the fewest lanes, preferring one with trials of the same kind.

    A trial that was lost repeatedly trains alone: others in its process would be lost with it.
    """
    lanes = machine.lanes_by_worker()
    if _is_suspect(lane):
        free = large_enough(machine, lane, _with_room(machine, lanes))
        return next((pid for pid in free if pid not in lanes), None)
    kind = _kind(machine, lane)

    def load(pid: int) -> int:
        others = lanes.get(pid, ())
        has_kind = any(_kind(machine, other) == kind for other in others)
        return len(others) + (0 if has_kind else _AFFINITY)

    return min(large_enough(machine, lane, _open_to_any(machine, lanes)), key=load, default=None)


def _is_suspect(lane: Lane) -> bool:
    return lane.trial.losses >= LOSSES_TOGETHER


def _reserved(machine: Machine, lanes: Mapping[int, Sequence[Lane]]) -> int | None:
    """Return the worker that is being emptied for a suspect."""
    if not any(map(_is_suspect, machine.in_phase(Phase.QUEUED))):
        return None
    usable = machine.usable_workers()
    return min(usable, key=lambda pid: len(lanes.get(pid, ())), default=None)


def _kind(machine: Machine, lane: Lane) -> tuple[ParamValue, ...]:
    params = lane.trial.params
    return tuple(params.get(name) for name in sorted(machine.book.structural))
