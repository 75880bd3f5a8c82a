"""Activity of an agent, as stored in `agent.telemetry`."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class LaneActivity:
    """A trial on a device."""

    device: str  # the worker's place: "cpu:0"
    trial: int
    attempt: int
    step: int
    n_steps: int | None  # of a full trial; None if only the objective knows
    value: float | None  # at that step
    seconds: float  # since the attempt began


@dataclass(frozen=True, kw_only=True)
class DeviceActivity:
    """The trials of one device."""

    device: str
    trials: tuple[int, ...]  # all trials; `lanes` has only some
    seconds: float  # device time of their attempts so far; lanes share it


@dataclass(frozen=True, kw_only=True)
class Gauge:
    """Measurements of a device."""

    used_bytes: int  # of its memory, used by any process; on a share of the CPU, by its workers
    total_bytes: int
    load: float | None = None  # the part of the last moment in which kernels ran, at most 1
    watts: float | None = None


@dataclass(frozen=True, kw_only=True)
class Activity:
    """The activity of one agent; devices without a lane are idle."""

    # working, paused, waiting, drained, stopping; empty: not reported yet
    state: str = ""
    devices: Sequence[DeviceActivity] = ()  # those that train
    lanes: Sequence[LaneActivity] = ()  # for each device its best and its oldest
    alerts: Sequence[str] = ()
    gauges: Mapping[str, Gauge] = field(default_factory=dict)  # by the worker's place
    blocked: Mapping[str, str] = field(default_factory=dict)  # place -> why it may not train now


def parse_activity(stored: object) -> Activity:
    """Parse telemetry of any version of tuner; unreadable parts are left out."""
    if not isinstance(stored, Mapping):
        return Activity()
    lanes = tuple(
        lane for given in _list(stored.get("lanes")) if (lane := _parse_lane(given)) is not None
    )
    devices = tuple(
        device
        for given in _list(stored.get("devices"))
        if (device := _parse_device(given)) is not None
    )
    return Activity(
        state=str(stored.get("state", "")),
        devices=devices or _devices_of(lanes),
        lanes=lanes,
        alerts=tuple(str(alert) for alert in _list(stored.get("alerts"))),
        gauges=_parse_gauges(stored.get("gauges")),
        blocked=_parse_blocked(stored.get("blocked")),
    )


def _list(given: object) -> Sequence[Any]:
    return given if isinstance(given, list) else []


def _devices_of(lanes: Sequence[LaneActivity]) -> tuple[DeviceActivity, ...]:
    """Return the devices of an agent that reports all its lanes and nothing else: one lane each."""
    return tuple(
        DeviceActivity(device=lane.device, trials=(lane.trial,), seconds=lane.seconds)
        for lane in lanes
    )


def _parse_device(given: object) -> DeviceActivity | None:
    if not isinstance(given, Mapping):
        return None
    try:
        return DeviceActivity(
            device=str(given["device"]),
            trials=tuple(int(number) for number in given["trials"]),
            seconds=float(given.get("seconds") or 0.0),
        )
    except (KeyError, TypeError, ValueError):
        return None


def _parse_gauges(given: object) -> dict[str, Gauge]:
    found = {}
    for name, gauge in given.items() if isinstance(given, Mapping) else ():
        with suppress(KeyError, TypeError, ValueError, AttributeError):
            load, watts = gauge.get("load"), gauge.get("watts")
            found[str(name)] = Gauge(
                used_bytes=int(gauge["used_bytes"]),
                total_bytes=int(gauge["total_bytes"]),
                load=None if load is None else float(load),
                watts=None if watts is None else float(watts),
            )
    return found


def _parse_blocked(given: object) -> dict[str, str]:
    found = given if isinstance(given, Mapping) else {}
    return {str(place): str(why) for place, why in found.items()}


def _parse_lane(given: object) -> LaneActivity | None:
    if not isinstance(given, Mapping):
        return None
    try:
        n_steps, value = given.get("n_steps"), given.get("value")
        return LaneActivity(
            device=str(given["device"]),
            trial=int(given["trial"]),
            attempt=int(given.get("attempt", 1)),
            step=int(given.get("step") or 0),
            n_steps=None if n_steps is None else int(n_steps),
            value=None if value is None else float(value),
            seconds=float(given.get("seconds") or 0.0),
        )
    except (KeyError, TypeError, ValueError):
        return None
