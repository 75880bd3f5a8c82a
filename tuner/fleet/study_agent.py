"""The agent of one study, a child process of `tuner agent` that is given devices over time."""

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tuner.agent.steering import STEERED, render_lent
from tuner.fleet.allocation import NO_UNITS, Units
from tuner.study.command_line import file_word, study_option
from tuner.study.places import place_of, units_of

_ENDS = ("TrialEnded", "AttemptReleased", "AttemptLost")


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line that an agent has logged; None: its output has ended."""

    study: str
    text: str | None


@dataclass(kw_only=True)
class StudyAgent:
    """A running agent: its devices, the trials that it trains, and its process."""

    study: str
    process: "subprocess.Popen[str]"
    units: Units = NO_UNITS
    started_at: float = field(default_factory=time.monotonic)
    idle_since: float | None = None  # without devices; None: it has some
    is_stopping: bool = False
    _told: Units | None = None
    _lanes: dict[tuple[int, int], Units] = field(default_factory=dict)

    @property
    def n_trials(self) -> int:
        """Return how many trials it trains."""
        return len(self._lanes)

    @property
    def busy(self) -> Units:
        """Return the devices on which a trial trains."""
        return frozenset(unit for units in self._lanes.values() for unit in units)

    def note(self, text: str) -> dict[str, Any] | None:
        """Take in a line of its log; return it as a document, None for any other text."""
        try:
            document = json.loads(text)
        except ValueError:
            return None
        if not isinstance(document, dict):
            return None
        key = (document.get("trial"), document.get("attempt"))
        if document.get("event") == "TrialStarted":
            self._lanes[key] = frozenset(units_of(place_of(str(document.get("device")))))  # type: ignore[index]
        elif document.get("event") in _ENDS:
            self._lanes.pop(key, None)  # type: ignore[arg-type]
        return document

    def lend(self, units: Units, now: float) -> None:
        """Give it these devices and no others."""
        if units:
            self.idle_since = None
        elif self.idle_since is None:
            self.idle_since = now
        self.units = units
        if units == self._told:
            return
        self._told = units
        assert self.process.stdin is not None
        with suppress(OSError, ValueError):  # it has ended, and that will be noticed
            self.process.stdin.write(render_lent(units))
            self.process.stdin.flush()

    def stop(self) -> None:
        """Let it save and release its trials, and end."""
        if not self.is_stopping:
            self.is_stopping = True
            self.process.terminate()

    def close(self) -> None:
        """Close the pipes of an agent that has ended."""
        for pipe in (self.process.stdin, self.process.stderr):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


def start_study_agent(
    study: str,
    path: Path | None,
    options: Sequence[str],
    lines: "queue.SimpleQueue[Line]",
) -> StudyAgent:
    """Start an agent, which trains nothing before it is given devices; `options` of `tuner run`."""
    file = [] if path is None else [file_word(str(path))]
    command = [sys.executable, "-m", "tuner.cli", "run", *file, *study_option(study)]
    process = subprocess.Popen(
        [*command, "--log-format", "json", *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env={**os.environ, STEERED: "1"},
        process_group=0,  # Ctrl-C reaches this process alone, which ends its agents
    )

    def read() -> None:
        assert process.stderr is not None
        with suppress(ValueError, OSError):  # closed while it was read
            for text in process.stderr:
                lines.put(Line(study=study, text=text.rstrip("\n")))
        lines.put(Line(study=study, text=None))

    threading.Thread(target=read, name=f"log of {study}", daemon=True).start()
    return StudyAgent(study=study, process=process)
