"""State of an agent for live screens, sent with every heartbeat."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from tuner.agent.device_time import used_seconds
from tuner.agent.machine import Machine
from tuner.agent.state import Lane, Phase
from tuner.study.activity import Gauge
from tuner.study.agents import Desired

ALERT_SECONDS = 600.0  # an alert is shown so long
MAX_LANES = 4  # sent per device: a heartbeat stays small, however many lanes share the device


def render_screen(machine: Machine, now: float, gauges: Mapping[str, Gauge] | None = None) -> str:
    """Render JSON: the machine's state, each device's lanes and gauges, recent alerts."""
    used = used_seconds(machine, now)
    devices: dict[str, list[Lane]] = {}
    for lane in machine.in_phase(Phase.TRAINING):
        if lane.worker in machine.workers:
            devices.setdefault(machine.workers[lane.worker].name, []).append(lane)
    said = {
        "state": _state(machine, bool(devices)),
        "devices": [
            {
                "device": device,
                "trials": [lane.key.number for lane in lanes],
                "seconds": round(sum(used[lane.key] for lane in lanes), 1),
            }
            for device, lanes in devices.items()
        ],
        "lanes": [
            _lane(machine, device, lane, now)
            for device, lanes in devices.items()
            for lane in _shown(machine, lanes)
        ],
        "alerts": [text for at, text in list(machine.shown.alerts) if now - at < ALERT_SECONDS],
        "blocked": machine.blocks.told,
        "gauges": {place: asdict(gauge) for place, gauge in (gauges or {}).items()},
    }
    return json.dumps(said)


def _shown(machine: Machine, lanes: Sequence[Lane]) -> list[Lane]:
    """Return the best lanes by their last reports, and the oldest: a heartbeat has room for few."""
    if len(lanes) <= MAX_LANES:
        return list(lanes)

    def rank(lane: Lane) -> float:
        value = _value(machine, lane)
        return math.inf if value is None else machine.book.goal.rank(value)

    best = sorted(lanes, key=rank)[: MAX_LANES - 1]
    oldest = min(lanes, key=lambda lane: lane.started_at)
    return best if oldest in best else [*best, oldest]


def _lane(machine: Machine, device: str, lane: Lane, now: float) -> dict[str, object]:
    return {
        "device": device,
        "trial": lane.key.number,
        "attempt": lane.key.attempt,
        "step": lane.last_step,
        "n_steps": machine.book.n_steps,
        "value": _value(machine, lane),
        "seconds": round(lane.seconds(now), 1),
    }


def _value(machine: Machine, lane: Lane) -> float | None:
    """Return the last reported value if it is finite."""
    value = lane.reports[-1].values[machine.book.goal.metric] if lane.reports else math.nan
    return value if math.isfinite(value) else None


def _state(machine: Machine, is_busy: bool) -> str:
    if machine.stop is not None or machine.desired is Desired.STOPPING:
        return "stopping"
    if machine.desired is Desired.PAUSED:
        return "paused"
    if machine.blocks.has_no_device and machine.blocks.drained and not is_busy:
        return "drained"
    return "working" if is_busy else "waiting"
