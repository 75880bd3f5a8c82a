"""What trials use of their devices: those that share one share its time."""

from collections import Counter
from collections.abc import Mapping

from tuner.agent.machine import Lane, Machine, Phase
from tuner.study.trial import AttemptKey


def used_seconds(machine: Machine, now: float) -> Mapping[AttemptKey, float]:
    """Of every attempt in training, its share so far.

    As the trainer has measured it epoch by epoch: a lane of a large model has more of a device than
    its neighbours. What nobody has measured is divided evenly.
    """
    training = [lane for lane in machine.in_phase(Phase.TRAINING) if lane.worker in machine.workers]
    n_lanes = Counter(_device(machine, lane) for lane in training)
    return {
        lane.key: lane.measured_seconds
        + _unmeasured(machine, lane, now) / n_lanes[_device(machine, lane)]
        for lane in training
    }


def _unmeasured(machine: Machine, lane: Lane, now: float) -> float:
    """Since the last epoch; the whole attempt where the objective measures nothing."""
    has_measured = machine.book.seconds_metric is not None
    return max(0.0, now - (lane.reported_at if has_measured else lane.started_at))


def _device(machine: Machine, lane: Lane) -> str:
    """Several worker processes on one device are named "gpu:0#0", "gpu:0#1"."""
    assert lane.worker is not None
    return machine.workers[lane.worker].name.partition("#")[0]
