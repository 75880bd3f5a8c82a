"""What trials use of their devices: those that share one share its time."""

from collections import Counter
from collections.abc import Mapping

from tuner.agent.machine import Machine
from tuner.agent.state import Lane
from tuner.study.trial import AttemptKey


def used_seconds(machine: Machine, now: float) -> Mapping[AttemptKey, float]:
    """Of every attempt in training, its share so far.

    As the trainer has measured it epoch by epoch: a lane of a large model has more of a device than
    its neighbours. What nobody has measured is divided evenly.
    """
    lanes = machine.lanes_by_worker()
    devices = {pid: machine.workers[pid].device for pid in lanes if pid in machine.workers}
    n_lanes: Counter[str] = Counter()
    for pid, device in devices.items():
        n_lanes[device] += len(lanes[pid])
    return {
        lane.key: lane.measured_seconds + _unmeasured(machine, lane, now) / n_lanes[device]
        for pid, device in devices.items()
        for lane in lanes[pid]
    }


def _unmeasured(machine: Machine, lane: Lane, now: float) -> float:
    """Since the last epoch; the whole attempt where the objective measures nothing."""
    has_measured = machine.book.seconds_metric is not None
    return max(0.0, now - (lane.reported_at if has_measured else lane.started_at))
