"""Devices that may not train for now: their trials are released, their workers end."""

from collections.abc import Collection, Mapping, Sequence

from tuner.agent.acts import Act, RestPlaces, Say, WakePlaces
from tuner.agent.events import DevicesLent
from tuner.agent.machine import Machine
from tuner.agent.notices import PlacesBlocked, PlacesFreed
from tuner.agent.rules.ends import ask_lanes, end_lanes, release, release_reason
from tuner.agent.rules.stopping import KILL_BEFORE_SECONDS
from tuner.agent.state import LENT, Lane, Phase
from tuner.study.lease import Release
from tuner.study.places import place_of, units_of
from tuner.study.verdict import Verdict


def lend(machine: Machine, event: DevicesLent) -> list[Act]:
    """Train on these devices alone: `tuner agent` has given the others to other studies."""
    machine.blocks.units = event.units
    return update(machine)


def update(machine: Machine) -> list[Act]:
    """Block the places that are drained, lent or without their GPUs, and no others."""
    blocks = machine.blocks
    lent: dict[str, str] = {}
    if blocks.units is not None:
        units = blocks.units
        lent = {p: LENT for p in blocks.places if not units_of(place_of(p)) <= units}
    return _apply(machine, {**blocks.unavailable, **lent, **blocks.drained})


def _apply(machine: Machine, reasons: Mapping[str, str]) -> list[Act]:
    """Block the places of `reasons`; an empty reason is not shown."""
    blocks, before = machine.blocks, machine.blocks.told
    was_blocked = blocks.reasons.keys()
    new = [place for place in reasons if place not in was_blocked]
    freed = [place for place in was_blocked if place not in reasons]
    blocks.reasons = dict(reasons)
    told = {place: why for place, why in blocks.told.items() if before.get(place) != why}
    acts: list[Act] = [
        Say(
            notice=PlacesBlocked(
                places=tuple(place for place in told if told[place] == reason), reason=reason
            )
        )
        for reason in dict.fromkeys(told.values())
    ]
    kill_at = machine.now + max(0.0, machine.book.grace_seconds - KILL_BEFORE_SECONDS)
    blocks.kill_at.update(dict.fromkeys(new, kill_at))
    acts += _rest_idle(machine)  # before a resume can wake the workers of these places
    return [*acts, *_free(machine, freed, [place for place in freed if place in before])]


def _free(machine: Machine, freed: Sequence[str], told: Sequence[str]) -> list[Act]:
    """Let places train again; `told` are those of which a reason was shown."""
    if not freed:
        return []
    for place in freed:
        machine.blocks.kill_at.pop(place, None)
    woken = frozenset(freed) & machine.blocks.resting
    machine.blocks.resting -= woken
    machine.claims.not_before = machine.now
    acts: list[Act] = [Say(notice=PlacesFreed(places=tuple(told)))] if told else []
    return [*acts, WakePlaces(places=woken)] if woken else acts


def due_acts(machine: Machine) -> list[Act]:
    """End trials that overrun the grace, and the workers of places without a trial."""
    blocks = machine.blocks
    if not blocks.reasons:
        return []
    acts = ask_lanes(_lanes_on(machine, blocks.reasons.keys()), Verdict.RELEASE)
    for place, kill_at in blocks.kill_at.items():
        if machine.now >= kill_at:
            late = _lanes_on(machine, {place})
            acts += end_lanes(machine, lambda lane: _cut(machine, lane), kill_at, late)
    if blocks.has_no_device:  # what a claim brought meanwhile finds no other device
        untouched = [*machine.in_phase(Phase.QUEUED), *machine.in_phase(Phase.LOADING)]
        acts += end_lanes(
            machine,
            lambda lane: release(machine, lane, release_reason(machine, lane)),
            float("inf"),
            untouched,
        )
    return [*acts, *_rest_idle(machine)]


def _rest_idle(machine: Machine) -> list[Act]:
    """End the workers of blocked places without a trial: their memory is free for others."""
    blocks = machine.blocks
    lanes = machine.lanes_by_worker()
    busy = {worker.name for pid, worker in machine.workers.items() if pid in lanes}
    idle = frozenset(blocks.reasons.keys() - blocks.resting - busy)
    if not idle:
        return []
    blocks.resting |= idle
    for pid in [pid for pid, worker in machine.workers.items() if worker.name in idle]:
        del machine.workers[pid]
    return [RestPlaces(places=idle)]


def _lanes_on(machine: Machine, places: Collection[str]) -> list[Lane]:
    return [
        lane
        for lane in machine.in_phase(Phase.TRAINING)
        if lane.worker in machine.workers and machine.workers[lane.worker].name in places
    ]


def _cut(machine: Machine, lane: Lane) -> Release:
    reason = release_reason(machine, lane)
    return release(machine, lane, f"{reason} without its last steps")
