"""Memory check before one more trial starts on a device that several workers share.

The need of a trial of this study is measured on running ones: until one has been seen at work, the
other workers of its device wait.
"""

from collections.abc import Iterable, Mapping, Sequence

from tuner.agent.acts import Act
from tuner.agent.events import MemoryRead
from tuner.agent.machine import Machine
from tuner.agent.state import Lane
from tuner.study.failure import Failure
from tuner.study.lease import Release

SEEN_SECONDS = 10.0  # at work for so long, or past its first step: it has allocated its memory
_HEAD_ROOM = 1.1
_GIB = 2**30


def note(machine: Machine, event: MemoryRead) -> list[Act]:
    """Record the free memory, and the largest use by a worker of this study."""
    state = machine.memory
    state.free_bytes = {name: memory.free_bytes for name, memory in event.by_device.items()}
    state.measured_by_process |= {
        name for name, memory in event.by_device.items() if memory.used_bytes
    }
    lanes = machine.lanes_by_worker()
    for name, memory in event.by_device.items():
        for pid, used_bytes in memory.used_bytes.items():
            if any(_is_at_work(machine, lane) for lane in lanes.get(pid, ())):
                state.max_bytes[name] = max(state.max_bytes.get(name, 0), used_bytes)
    return []


def note_end(machine: Machine, lane: Lane) -> None:
    """Mark the trial's memory as measured: it ended well, however short it was."""
    if lane.worker in machine.workers:
        machine.memory.max_bytes.setdefault(machine.workers[lane.worker].device, 0)


def offer(machine: Machine, lane: Lane, failure: Failure) -> Release | None:
    """Release a trial that ran out of memory, once, if a device with more memory exists.

    Return None if there is none, as far as is known, or if the trial was offered before.
    """
    worker = machine.workers.get(lane.worker) if lane.worker is not None else None
    own = None if worker is None else machine.memory.of_places.get(worker.name)
    if own is None or lane.trial.short_of_bytes is not None:
        return None
    here = [
        n_bytes
        for place, n_bytes in machine.memory.of_places.items()
        if place not in machine.breaker.open_places and place not in machine.blocks.drained
    ]
    if max([*here, machine.memory.max_other_bytes or 0]) <= own:
        return None
    reason = f"{failure.message}; offered to a device with more than {own / _GIB:.1f} GiB"
    return Release(
        key=lane.key, reason=reason, failure=failure, reports=lane.reports, short_of_bytes=own
    )


def large_enough(machine: Machine, lane: Lane, pids: Iterable[int]) -> list[int]:
    """Return the workers whose devices have more memory than the trial ran out of, or all.

    All of them if this machine has no such device: nobody else took the trial.
    """
    short, sizes = lane.trial.short_of_bytes, machine.memory.of_places
    if short is None or max(sizes.values(), default=0) <= short:
        return list(pids)
    return [pid for pid in pids if sizes.get(machine.workers[pid].name, 0) > short]


def with_memory(machine: Machine, lanes: Mapping[int, Sequence[Lane]]) -> set[int]:
    """Return the workers that may start a trial; on a shared device one idle worker at a time.

    Further lanes of a worker that already trains are not checked here.
    """
    found, devices = set(), set()
    for pid, worker in machine.workers.items():
        if worker.n_free == 0:
            continue
        device = worker.device
        if pid in lanes or device not in machine.memory.free_bytes:
            found.add(pid)
        elif device not in devices and _has_room(machine, device, lanes):
            found.add(pid)
            devices.add(device)
    return found


def _has_room(machine: Machine, device: str, lanes: Mapping[int, Sequence[Lane]]) -> bool:
    """Return whether one more trial fits on a device, next to those of its other workers."""
    workers = machine.workers
    busy = [lanes[pid] for pid in lanes if pid in workers and workers[pid].device == device]
    if not busy:
        return True
    # Those that have just started have not taken theirs yet.
    n_starting = sum(not any(_is_at_work(machine, lane) for lane in one) for one in busy)
    max_bytes = machine.memory.max_bytes.get(device)
    if max_bytes is None:
        # Where processes cannot be distinguished, as in a container, they start one after the
        # other.
        return device not in machine.memory.measured_by_process and n_starting == 0
    return machine.memory.free_bytes[device] >= (1 + n_starting) * _HEAD_ROOM * max_bytes


def _is_at_work(machine: Machine, lane: Lane) -> bool:
    return bool(lane.reports) or lane.seconds(machine.now) >= SEEN_SECONDS
