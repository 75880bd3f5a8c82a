"""Real agents for tests: `tuner run` as child processes, and what they leave in the database."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg2
from sqlalchemy.engine import make_url

from tuner.processes import children_of

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
# Test processes that run side by side place their first agents on different cores.
_FIRST_CORE = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))

STUDY = """\
name: {name}
objective: {{data: {{sklearn: digits}}, model: mlp}}
minimize: val_loss
params: {{epochs: {epochs}, width: {width}, batch_size: 16, n_layers: 3}}
search_space:
  learning_rate: {{float: [1e-4, 1e-2], log: true}}
  dropout: {{float: [0, 0.5]}}
sampler: {sampler}
pruner: {pruner}
budget: {{trials: {trials}}}
checkpoints: {{every: {every}}}
failures: {{lease: {lease}, grace: 8s}}
workers: {{lanes: {lanes}}}
seed: 5
"""


def write_study(
    folder: Path,
    *,
    name: str = "faulty",
    epochs: int = 3,
    width: int = 16,
    trials: int = 2,
    sampler: str = "random",
    pruner: str = "none",
    every: str = "0.3s",
    lease: str = "3s",
    lanes: str = "auto",
) -> Path:
    """A study file; `width` sets how long an epoch takes."""
    path = folder / f"{name}.yaml"
    path.write_text(
        STUDY.format(
            name=name,
            epochs=epochs,
            width=width,
            trials=trials,
            sampler=sampler,
            pruner=pruner,
            every=every,
            lease=lease,
            lanes=lanes,
        )
    )
    return path


class AgentProcess:
    """One `tuner run`; its output goes to a file that `output` reads.

    It is given one core, so that its workers train with one thread: with several on a busy machine
    small models wait for each other's threads, and an epoch takes ten times as long.
    """

    def __init__(
        self,
        study: Path,
        url: str,
        log: Path,
        *,
        workers: int,
        core: int,
        patches: Sequence[Sequence[object]] = (),
        is_light: bool = False,
        namespace: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`patches`: see `patched.py`; `is_light`: its workers have a stand-in for torch."""
        self._log = log
        command = [sys.executable, "-m", "tuner.cli"]
        if patches:
            command = [sys.executable, "-P", str(HERE / "patched.py"), json.dumps(patches)]
        command += ["run", str(study), "--workers", str(workers)]
        if namespace is not None:
            command = ["ip", "netns", "exec", namespace, *command]  # which becomes the command
        paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
        if is_light:
            paths.insert(0, str(HERE / "light"))
        with open(log, "w") as file:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={
                    **os.environ,
                    "TUNER_STORAGE": url,
                    "PYTHONPATH": os.pathsep.join(filter(None, paths)),
                    **(environment or {}),
                },
                preexec_fn=lambda: _begin_on(core),
            )

    @property
    def output(self) -> str:
        return self._log.read_text()

    def send(self, number: signal.Signals) -> None:
        """A signal to the agent alone, not to its workers."""
        self.process.send_signal(number)

    def wait(self, seconds: float = 90) -> int:
        """Its exit code; with its output in the error if it does not end."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"the agent did not end:\n{self.output}") from None

    def workers(self) -> list[int]:
        """The process ids of its workers: those that train, each below its reaper."""
        return [worker for reaper in self.reapers() for worker in children_of(reaper)]

    def reapers(self) -> list[int]:
        """The process ids of those above its workers."""
        return [reaper for template in self.templates() for reaper in children_of(template)]

    def templates(self) -> list[int]:
        """The process ids of those that fork its workers: one, or none at the start."""
        listing = subprocess.run(
            ["ps", "--ppid", str(self.process.pid), "-o", "pid=,args="],
            capture_output=True,
            text=True,
            check=False,
        ).stdout
        return [
            int(line.split()[0]) for line in listing.splitlines() if "tuner.worker template" in line
        ]


def _begin_on(core: int) -> None:
    os.sched_setaffinity(0, {core})
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which `nohup pytest` would have it ignore


def is_running(pid: int) -> bool:
    """Whether a process lives; one that nobody has reaped yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Fleet:
    """Agents of one test on one database."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder
        self.agents: list[AgentProcess] = []
        self._mark = f"fleet-{uuid.uuid4()}"  # in the environment of all its processes

    def start(
        self, study: Path, *, workers: int = 1, url: str | None = None, **more: Any
    ) -> AgentProcess:
        """Another agent; `more` as `AgentProcess` takes it."""
        log = self.folder / f"agent-{len(self.agents)}.log"
        cores = sorted(os.sched_getaffinity(0))
        core = cores[(_FIRST_CORE + len(self.agents)) % len(cores)]
        more["environment"] = {**more.get("environment", {}), "FAULTS_MARK": self._mark}
        agent = AgentProcess(study, url or self.url, log, workers=workers, core=core, **more)
        self.agents.append(agent)
        return agent

    def query(self, statement: str, *params: object) -> list[tuple]:  # type: ignore[type-arg]
        """Rows straight from the database; none as long as the schema is not there."""
        connection = self._connect()
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement, params)
                return cursor.fetchall()
        except psycopg2.errors.UndefinedTable:
            return []
        finally:
            connection.close()

    def execute(self, statement: str, *params: object) -> None:
        """A statement of somebody else, committed."""
        connection = self._connect()
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(statement, params)
        finally:
            connection.close()

    def alter_system(self, name: str, value: str) -> None:
        """A setting of the server, from now on."""
        connection = self._connect()
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"alter system set {name} = %s", (value,))
            cursor.execute("select pg_reload_conf()")
        connection.close()

    def _connect(self) -> Any:
        url = make_url(self.url)
        return psycopg2.connect(
            host=url.query.get("host") or url.host,
            port=url.port,
            user=url.username,
            password=url.password,
            dbname=url.database,
        )

    def wait_for(self, condition: Callable[[], object], what: str, seconds: float = 60) -> None:
        """Until the condition holds; fails with all outputs if it does not."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                outputs = "\n---\n".join(agent.output for agent in self.agents)
                raise AssertionError(f"{what}: not within {seconds} s\n{outputs}")
            time.sleep(0.05)

    def n_reports(self) -> int:
        """Steps reported so far."""
        return len(self.query("select 1 from trial_intermediate_values"))

    def processes(self) -> list[int]:
        """Every living process that an agent of this fleet has started, or is."""
        mark = f"FAULTS_MARK={self._mark}".encode()
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            with suppress(OSError):
                if mark in path.read_bytes().split(b"\0"):
                    found.append(int(path.parent.name))
        return [pid for pid in found if is_running(pid)]

    def check_nothing_is_left(self) -> None:
        """Guarantee 20, once every agent has ended: no process, and no connection of theirs."""
        self.wait_for(lambda: not self.processes(), "the end of all processes", 3)
        ours = "select 1 from pg_stat_activity where application_name = 'tuner'"
        own = " and datname = current_database()"
        self.wait_for(lambda: not self.query(ours + own), "the end of all connections", 15)

    def states(self) -> dict[str, int]:
        """Trials by state."""
        return dict(self.query("select state::text, count(*) from trials group by 1"))


@contextmanager
def open_fleet(url: str, folder: Path) -> Iterator[Fleet]:
    """End every agent at the end, whatever happened."""
    fleet = Fleet(url, folder)
    try:
        yield fleet
    finally:
        for agent in fleet.agents:
            if agent.process.poll() is None:
                agent.process.kill()
            agent.process.wait()
