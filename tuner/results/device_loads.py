"""The lanes of each device of an agent: their number, and the most interesting ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tuner.storage.reading.rows import AgentRow
from tuner.storage.reading.trials import HeldRow
from tuner.study.activity import LaneActivity
from tuner.study.trial import Direction

UNTOLD = "new"


@dataclass(frozen=True, kw_only=True)
class DeviceLoad:
    device: str  # `UNTOLD` for trials that no heartbeat has reported
    n_lanes: int  # trials that it trains at the same time; 0: it is idle
    best: LaneActivity | None = None  # the best value among them
    oldest: LaneActivity | None = None  # at work for the longest time
    others: Sequence[LaneActivity] = ()  # the better, the sooner; those that are known

    @property
    def lanes(self) -> list[LaneActivity]:
        """Return the best, the oldest, then the others."""
        first = [lane for lane in (self.best, self.oldest) if lane is not None]
        return [*(first[:1] if self.best is self.oldest else first), *self.others]


def device_loads(
    agent: AgentRow,
    direction: Direction,
    held: Mapping[int, HeldRow] | None = None,
    n_steps: int | None = None,
) -> list[DeviceLoad]:
    """Return the loads of an agent's devices, without trials that ended after its heartbeat.

    `held` brings the reports and claims since its last heartbeat: a trial that no heartbeat has
    reported is assigned to an idle device.
    """
    reports = held or {}
    told = {lane.trial: _fresh(lane, reports.get(lane.trial)) for lane in agent.activity.lanes}
    trials = _trials_by_device(agent, reports)
    for device, numbers in trials.items():
        for number in numbers:
            if number not in told and number in reports:
                told[number] = _lane(device, reports[number], n_steps)
    return [
        _load(device, len(numbers), [told[n] for n in numbers if n in told], direction)
        for device, numbers in trials.items()
    ]


def _trials_by_device(agent: AgentRow, reports: Mapping[int, HeldRow]) -> dict[str, list[int]]:
    mine = set(agent.trials)
    trials: dict[str, list[int]] = {device: [] for device in agent.devices}
    for activity in agent.activity.devices:
        still = [number for number in activity.trials if number in mine]
        trials.setdefault(activity.device, []).extend(still)
    told = {number for numbers in trials.values() for number in numbers}
    elsewhere = agent.devices[0] if len(agent.devices) == 1 else UNTOLD
    for number in agent.trials:
        if number not in told and number in reports:
            idle = next((device for device, numbers in trials.items() if not numbers), elsewhere)
            trials.setdefault(idle, []).append(number)
    return trials


def _load(
    device: str, n_lanes: int, lanes: Sequence[LaneActivity], direction: Direction
) -> DeviceLoad:
    if not lanes:
        return DeviceLoad(device=device, n_lanes=n_lanes)
    ranked = sorted(
        lanes, key=lambda lane: float("inf") if lane.value is None else direction.rank(lane.value)
    )
    best, oldest = ranked[0], max(ranked, key=lambda lane: (lane.seconds, lane.step))
    others = [lane for lane in ranked if lane is not best and lane is not oldest]
    return DeviceLoad(device=device, n_lanes=n_lanes, best=best, oldest=oldest, others=others)


def _fresh(lane: LaneActivity, held: HeldRow | None) -> LaneActivity:
    """Return the lane with its newest report."""
    if held is None or held.attempt != lane.attempt or held.step <= lane.step:
        return lane
    return replace(lane, step=held.step, value=held.value)


def _lane(device: str, held: HeldRow, n_steps: int | None) -> LaneActivity:
    return LaneActivity(
        device=device,
        trial=held.number,
        attempt=held.attempt,
        step=held.step,
        n_steps=n_steps,
        value=held.value,
        seconds=0.0,
    )
