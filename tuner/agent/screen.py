"""What an agent tells live screens of itself, with every beat."""

import json
import math

from tuner.agent.machine import Machine, Phase
from tuner.study.fleet import Desired

ALERT_SECONDS = 600.0  # an alert is shown so long


def render_screen(machine: Machine, now: float) -> str:
    """JSON: the machine's state, what each device trains, recent alerts."""
    lanes = [
        {
            "device": machine.workers[lane.worker].name,
            "trial": lane.key.number,
            "attempt": lane.key.attempt,
            "step": lane.last_step,
            "n_steps": machine.book.n_steps,
            "value": _finite(lane.reports[-1].values[machine.book.metric])
            if lane.reports
            else None,
            "seconds": round(lane.seconds(now), 1),
        }
        for lane in machine.in_phase(Phase.TRAINING)
        if lane.worker in machine.workers
    ]
    alerts = [text for at, text in list(machine.alerts) if now - at < ALERT_SECONDS]
    return json.dumps({"state": _state(machine, bool(lanes)), "lanes": lanes, "alerts": alerts})


def _state(machine: Machine, is_busy: bool) -> str:
    if machine.stop is not None or machine.desired is Desired.STOPPING:
        return "stopping"
    if machine.desired is Desired.PAUSED:
        return "paused"
    return "working" if is_busy else "waiting"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
