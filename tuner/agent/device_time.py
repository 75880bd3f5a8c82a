"""Device time of trials: those that share a device share its time.

A trial on several GPUs uses as many device seconds a second.
"""

from collections import Counter
from collections.abc import Mapping

from tuner.agent.machine import Machine
from tuner.agent.state import Lane
from tuner.study.places import count_units
from tuner.study.trial import AttemptKey


def busy_units(machine: Machine) -> int:
    """Return the GPUs, or shares of the CPU, that train: the device seconds used per second."""
    pids = machine.lanes_by_worker().keys() & machine.workers.keys()
    return count_units(machine.workers[pid].device for pid in pids)


def used_seconds(machine: Machine, now: float) -> Mapping[AttemptKey, float]:
    """Return the device seconds of every attempt in training.

    The trainer measures them epoch by epoch: a lane with a large model uses more of a device than
    its neighbours. Unmeasured time is divided evenly.
    """
    lanes = machine.lanes_by_worker()
    devices = {pid: machine.workers[pid].device for pid in lanes if pid in machine.workers}
    n_lanes: Counter[str] = Counter()
    for pid, device in devices.items():
        n_lanes[device] += len(lanes[pid])
    return {
        lane.key: count_units([device])
        * (lane.measured_seconds + _unmeasured(machine, lane, now) / n_lanes[device])
        for pid, device in devices.items()
        for lane in lanes[pid]
    }


def _unmeasured(machine: Machine, lane: Lane, now: float) -> float:
    """Return the device seconds since the last epoch, or of the whole attempt if nothing is
    measured.
    """
    has_measured = machine.book.seconds_metric is not None
    return max(0.0, now - (lane.reported_at if has_measured else lane.started_at))
