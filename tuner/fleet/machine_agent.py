"""`tuner agent`: gives the devices of this machine to the studies of a database, over time."""

import queue
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from tuner.errors import DatabaseAway
from tuner.fleet.allocation import NO_UNITS, Wish, allocate
from tuner.fleet.study_agent import Line, StudyAgent, start_study_agent
from tuner.fleet.study_files import StudyFiles
from tuner.signals import stop_signals
from tuner.storage.connections.sessions import Session
from tuner.storage.reading.fleet import OpenStudy, read_held_drains, read_work
from tuner.study.fleet import Drain, drained_places

LOOK_SECONDS = 2.0  # between looks at the studies
KEEP_SECONDS = 60.0  # an agent without devices is ended after this time
FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 5.0, 300.0  # before an agent that has failed starts again
REFUSED_SECONDS = 600.0  # the same after an error that only a user can mend
_DONE = (0, 5, 6)  # exit codes of a study that has ended, or is halted
_REFUSED = (2, 3, 7)  # the study file or this machine does not fit

Tell = Callable[[str | None, str, Mapping[str, Any] | None], None]  # study, message, log line


@dataclass(kw_only=True)
class _Pause:
    """Why an agent of a study is not started for now."""

    until: float
    seconds: float
    version: object = None  # of the study file: another one ends the pause


@dataclass(kw_only=True)
class MachineAgent:
    """The devices, the agents of the studies, and their states."""

    units: Sequence[str]  # "gpu:0", "cpu:3"
    has_gpus: bool
    host: str
    boot: str
    session: Session
    files: StudyFiles
    options: Sequence[str]  # for each `tuner run`
    tell: Tell
    until_done: bool = False
    clock: Callable[[], float] = time.monotonic
    agents: dict[str, StudyAgent] = field(default_factory=dict)
    stopped_by: int | None = None  # a signal
    _lines: "queue.SimpleQueue[Line]" = field(default_factory=queue.SimpleQueue)
    _used: dict[str, float] = field(default_factory=dict)
    _pauses: dict[str, _Pause] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)
    _counted_at: float = 0.0
    _is_away: bool = False

    def run(self) -> int:
        """Work until a signal, or with `until_done` until no study has work; return the signal.

        0 for an end without a signal.
        """
        look_at = self._counted_at = self.clock()
        with self._stopping():
            while True:
                now = self.clock()
                self._count(now)
                self._end_gone(now)
                if self.stopped_by is not None:
                    for agent in self.agents.values():
                        agent.stop()
                    if not self.agents:
                        return self.stopped_by
                elif now >= look_at:
                    look_at = now + LOOK_SECONDS
                    if self._look(now):
                        return 0
                self._read_lines(min(0.5, max(0.0, look_at - now)))

    @contextmanager
    def _stopping(self) -> Iterator[None]:
        def note(number: int, _frame: FrameType | None) -> None:
            self.stopped_by = self.stopped_by or number

        signals = (*stop_signals(), signal.SIGUSR1)
        before = {number: signal.signal(number, note) for number in signals}
        try:
            yield
        finally:
            for agent in self.agents.values():
                agent.stop()
                agent.close()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _look(self, now: float) -> bool:
        """Give out the devices by the state of the studies; return whether all is done."""
        try:
            work = read_work(self.session)
            drains = [
                (study_id, drain)
                for study_id, drain in read_held_drains(self.session)
                if drain.is_of(self.host, self.boot)
            ]
        except DatabaseAway as error:
            if not self._is_away:
                self.tell(None, f"the database is away, studies continue ({error})", None)
            self._is_away = True
            return False
        self._is_away = False
        files = self.files.look()
        while self.files.notes:
            self.tell(None, self.files.notes.pop(0), None)
        studies = [study for study in work if self._may_run(study, files, now)]
        wishes = [self._wish(study, drains) for study in studies]
        held = {name: agent.units for name, agent in self.agents.items()}
        busy = frozenset(unit for agent in self.agents.values() for unit in agent.busy)
        given = allocate(self.units, wishes, held, busy)
        # First what agents lose, so that no device is with two of them.
        for name, agent in self.agents.items():
            agent.lend(agent.units & given.get(name, NO_UNITS), now)
        for study in studies:
            if given[study.name]:
                self._agent_of(study, files).lend(given[study.name], now)
        self._end_idle(now)
        return self.until_done and not self.agents and not any(given.values())

    def _wish(self, study: OpenStudy, drains: Sequence[tuple[int | None, Drain]]) -> Wish:
        mine = [drain for study_id, drain in drains if study_id in (None, study.study_id)]
        agent = self.agents.get(study.name)
        poorest = min(self._used.values(), default=0.0)  # a new study is not owed the past
        return Wish(
            name=study.name,
            priority=study.priority,
            n_trials=study.n_claimable + (0 if agent is None else agent.n_trials),
            units_per_trial=study.units_per_trial(has_gpus=self.has_gpus),
            used_seconds=self._used.setdefault(study.name, poorest),
            barred=frozenset(drained_places(mine, self.units)),
        )

    def _may_run(self, study: OpenStudy, files: Mapping[str, Path], now: float) -> bool:
        """Return whether this machine can work on a study; say once why it cannot."""
        if not study.is_readable:
            self._tell_once(study.name, "another version of tuner made it, and this one cannot")
            return False
        if study.needs_study_file and study.name not in files:
            self._tell_once(
                study.name,
                "its code is chosen by a study file: put it into the folder of --studies",
            )
            return False
        agent = self.agents.get(study.name)
        if agent is not None and agent.is_stopping:
            return False
        if study.units_per_trial(has_gpus=self.has_gpus) > len(self.units):
            self._tell_once(study.name, "its trials need more devices than this machine has")
            return False
        pause = self._pauses.get(study.name)
        if pause is None or now >= pause.until:
            return True
        return pause.version != self.files.version(files.get(study.name))

    def _tell_once(self, study: str, text: str) -> None:
        if f"{study}: {text}" not in self._told:
            self._told.add(f"{study}: {text}")
            self.tell(study, text, None)

    def _agent_of(self, study: OpenStudy, files: Mapping[str, Path]) -> StudyAgent:
        if study.name not in self.agents:
            path = files.get(study.name)
            self.agents[study.name] = start_study_agent(study.name, path, self.options, self._lines)
            pause = self._pauses.get(study.name)
            if pause is not None:
                pause.version = self.files.version(path)
        return self.agents[study.name]

    def _end_idle(self, now: float) -> None:
        for agent in self.agents.values():
            if agent.idle_since is not None and now - agent.idle_since >= KEEP_SECONDS:
                agent.stop()

    def _end_gone(self, now: float) -> None:
        """Take note of agents that have ended."""
        for name, agent in list(self.agents.items()):
            code = agent.process.poll()
            if code is None:
                continue
            self._read_lines(0.0)
            agent.close()
            del self.agents[name]
            if agent.is_stopping or code in _DONE:
                self._pauses[name] = _Pause(until=now + LOOK_SECONDS, seconds=0.0)
                continue
            self._pause(name, code, now)

    def _pause(self, name: str, code: int, now: float) -> None:
        before = self._pauses.get(name)
        seconds = REFUSED_SECONDS
        if code not in _REFUSED:
            doubled = 2 * before.seconds if before is not None else 0.0
            seconds = min(MAX_PAUSE_SECONDS, max(FIRST_PAUSE_SECONDS, doubled))
        path = self.files.look().get(name)
        self._pauses[name] = _Pause(
            until=now + seconds, seconds=seconds, version=self.files.version(path)
        )
        text = f"its agent ended with exit code {code}; it starts again in {seconds:.0f} s"
        self.tell(name, f"{text}, or when its study file changes" if path else text, None)

    def _count(self, now: float) -> None:
        """Count the device time that each study was given."""
        for name, agent in self.agents.items():
            spent = len(agent.units) * (now - self._counted_at)
            self._used[name] = self._used.get(name, 0.0) + spent
        self._counted_at = now

    def _read_lines(self, seconds: float) -> None:
        """Pass on the log lines of agents; wait for the first one at most so long."""
        timeout = seconds
        while True:
            try:
                line = self._lines.get(timeout=timeout) if timeout else self._lines.get_nowait()
            except queue.Empty:
                return
            timeout = 0.0
            agent = self.agents.get(line.study)
            if line.text is None:
                continue
            document = None if agent is None else agent.note(line.text)
            text = line.text if document is None else str(document.get("message"))
            self.tell(line.study, text, document)
