"""The devices that `tuner agent` gives to one of its studies: lines on standard input."""

import json
import os
import queue
import sys
import threading

from tuner.agent.events import DevicesLent, Event, StopAsked

STEERED = "TUNER_STEERED"  # in the environment of an agent that reads them
MAX_LINE = 1 << 20


def is_steered() -> bool:
    """Return whether this process is the agent of one study of `tuner agent`."""
    return os.environ.get(STEERED) == "1"


def render_lent(units: frozenset[str]) -> str:
    """Render the line for these devices."""
    return json.dumps({"devices": sorted(units)}) + "\n"


def parse_lent(line: str) -> DevicesLent | None:
    """Parse a line; None for anything else."""
    try:
        document = json.loads(line)
        return DevicesLent(units=frozenset(str(unit) for unit in document["devices"]))
    except (ValueError, KeyError, TypeError):
        return None


def follow_steering(inbox: "queue.SimpleQueue[Event]") -> None:
    """Read lines in a thread; their end stops this agent: the process that steers it has ended."""

    def read() -> None:
        while line := sys.stdin.readline(MAX_LINE):
            event = parse_lent(line)
            if event is not None:
                inbox.put(event)
        inbox.put(StopAsked(signal="SIGTERM"))

    threading.Thread(target=read, name="steering", daemon=True).start()
