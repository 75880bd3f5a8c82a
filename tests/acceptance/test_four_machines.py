"""The commands of "Several machines" in the README, run: network namespaces as machines."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.command import ROOT, Tuner, build_environment, wait_until, write_study
from tests.faults.networks import Network, open_network

SECTION = (ROOT / "README.md").read_text().split("\n## Several machines\n")[1].split("\n## ")[0]
OPERATIONS = (ROOT / "tuner" / "storage" / "README.md").read_text()
COMMANDS = (ROOT / "tuner" / "cli" / "README.md").read_text()
PATCHED = ROOT / "tests" / "faults" / "patched.py"
LIGHT = ROOT / "tests" / "faults" / "light"  # a stand-in for torch, which a function does not need
N_TRIALS = 12
TRAIN = """
import os, time
def train(trial):
    state = trial.checkpoint.load() or {"step": 0}
    for step in range(state["step"] + 1, 11):
        time.sleep(0.1)
        trial.report(step=step, val_loss=trial.params["x"] / step)
        trial.checkpoint.save({"step": step})
        while step == 8 and not os.path.exists("GATE"):
            time.sleep(0.05)
"""


def commands_of(section: str) -> list[str]:
    """What a reader types, without comments."""
    blocks = re.findall(r"^```sh\n(.*?)^```", section, re.M | re.S)
    lines = "".join(blocks).splitlines()
    return [" ".join(shlex.split(line, comments=True)) for line in lines]


SERVE, COPY, EXPORT, DOCTOR, RUN, STATUS = commands_of(SECTION)


class Machines:
    """One that keeps the database and three that train, each with its name, home and clock."""

    def __init__(self, network: Network, folder: Path, study: Path) -> None:
        self.network, self.folder, self.study = network, folder, study
        self.address = network.address.removesuffix(".1") + ".2"  # of the first machine
        self.started: list[subprocess.Popen[str]] = []

    def start(
        self, index: int, words: Sequence[str], shift_seconds: float = 0, *, light: bool = True
    ) -> Any:
        """A `tuner` command on a machine, as its user types it."""
        name = "database" if index == 0 else f"node{index}"
        user_folder, home = self.folder / name, self.folder / f"{name}-home"
        user_folder.mkdir(exist_ok=True)
        if not home.exists():
            home.mkdir()
            home.chmod(0o711)
        patches = f'[["machine", "{name}"], ["clock", {shift_seconds}]]'
        command = [sys.executable, "-P", PATCHED, patches, *words]
        named = ["unshare", "--uts", "sh", "-c", f'hostname {name}; exec "$@"', "sh", *command]
        environment = {
            "HOME": str(user_folder),
            "TUNER_HOME": str(home),
            "PYTHONPATH": f"{LIGHT}{os.pathsep}{ROOT}" if light else str(ROOT),
        }
        if index:
            environment["TUNER_STORAGE"] = self.url
        process = subprocess.Popen(
            ["ip", "netns", "exec", self.network.machines[index], *map(str, named)],
            env={**build_environment({}), **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.study.parent,
        )
        self.started.append(process)
        return process

    def run(self, index: int, line: str, shift_seconds: float = 0) -> tuple[int, str]:
        """The exit code, and what it printed."""
        words = self.words(line)
        process = self.start(index, words, shift_seconds, light=line != DOCTOR)
        out, err = process.communicate(timeout=60)
        assert "Traceback" not in out + err, out + err
        return process.returncode, out + err

    def look(self, line: str) -> tuple[int, str]:
        """The same from this process, which is quicker and reaches the database as well."""
        password_file = self.folder / "node1" / ".pgpass"
        environment = {"TUNER_STORAGE": self.url, "PGPASSFILE": str(password_file)}
        found = Tuner(environment=environment).look(*self.words(line), code=None)
        return found.code, found.out + found.err

    @property
    def url(self) -> str:
        """The database, as the README exports it."""
        return EXPORT.removeprefix("export TUNER_STORAGE=").replace("10.0.0.1", self.address)

    def words(self, line: str) -> list[str]:
        """A line of the README, with our address and our study."""
        line = line.replace("10.0.0.1", self.address).replace("studies/digits.yaml", "plain.yaml")
        return shlex.split(line.replace(" digits", " plain"))[1:]

    def close(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.communicate()


@pytest.fixture
def machines() -> Iterator[Machines]:
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    assert shutil.which("ip"), "this test makes network namespaces, which needs iproute2"
    folder = Path(tempfile.mkdtemp(prefix="tuner-four-"))
    folder.chmod(0o755)
    (folder / "work").mkdir()
    (folder / "work" / "train.py").write_text(TRAIN.replace("GATE", str(folder / "gate")))
    study = write_study(
        folder / "work",
        objective="train.py:train",
        search_space="{x: {float: [0, 1]}}",
        params="{epochs: 10}",
        budget=f"{{trials: {N_TRIALS}}}",
        checkpoints="{every: 1s}",
        failures="{lease: 3s}",
    )
    with open_network(4) as network:
        machines = Machines(network, folder, study)
        try:
            yield machines
        finally:
            machines.close()
    pid_file = folder / "database-home" / "postgres" / "data" / "postmaster.pid"
    wait_until(lambda: not pid_file.exists(), "the database stops")
    shutil.rmtree(folder)


def test_the_commands_of_the_readme_make_a_fleet_that_outlives_a_cut_link(machines: Machines):
    serve = machines.start(0, machines.words(SERVE))
    assert serve.stdout.readline().strip() == machines.url
    served = machines.folder / "database-home" / COPY.split()[1].removeprefix("/var/lib/tuner/")
    for node in ("node1", "node2", "node3"):
        (machines.folder / node).mkdir()
        shutil.copy(served, machines.folder / node / ".pgpass")

    agents = [
        machines.start(index, [*machines.words(RUN), "--workers", "2"], hours * 3600)
        for index, hours in ((1, -3), (2, 0), (3, 3))
    ]
    look = STATUS.removesuffix(" --watch")

    def fleet() -> dict[str, str]:
        """Each machine's row of `tuner status`."""
        code, page = machines.look(look)
        assert code in (0, 3), page
        rows = re.findall(r"^  (node\d) +(\d+ .*)$", page, re.M)
        return {name: row for name, row in rows}

    wait_until(lambda: len(fleet()) == 3, "three machines in the fleet")
    wait_until(lambda: all(re.search(r"\d+, \d+", row) for row in fleet().values()), "all train")

    def are_devices_shown() -> bool:
        """An agent tells with its next beat what it has begun to train."""
        _, page = machines.look(look)
        rows = re.findall(r"^  (node\d) +cpu:[01] +trial \d+ ", page, re.M)
        return set(rows) == {"node1", "node2", "node3"}

    wait_until(are_devices_shown, "what each machine's devices train is shown")

    machines.network.cut(2)
    wait_until(lambda: "lost" in fleet().get("node2", ""), "node2 is shown as lost")
    (machines.folder / "gate").touch()

    def taken_over() -> bool:
        _, table = machines.look("tuner trials plain --where attempt=2 --csv")
        return len(re.findall(r"^\d+,", table, re.M)) >= 2

    wait_until(taken_over, "its trials go on elsewhere")
    machines.network.heal(2)

    code, said = machines.run(3, DOCTOR, shift_seconds=3 * 3600)
    assert re.search(r"^clock +warn +the database's is -1\d{4}\.\d s", said, re.M), said
    assert re.search(r"^rights +ok +worker", said, re.M), said
    assert re.search(r"^tls +warn +not encrypted", said, re.M), said
    assert code == 0, said

    ended = [agent.communicate(timeout=60) for agent in agents]
    assert [agent.returncode for agent in agents] == [0, 0, 0], ended
    code, page = machines.run(1, look)
    assert code == 0, page
    assert "plain: finished" in page
    code, table = machines.run(1, "tuner trials plain --csv")
    rows = re.findall(r"^\d+,.*", table, re.M)
    assert [int(row.split(",")[0]) for row in rows] == list(range(N_TRIALS))
    assert all("COMPLETE" in row for row in rows), table
    told = ended[1][1]
    assert "the database is away" in told or "database" in told, told
    assert len(re.findall(r"^trial \d+: .*lost", told, re.M)) >= 1, told
    serve.send_signal(signal.SIGTERM)
    assert serve.wait(20) == 0


def test_the_unit_is_valid_and_restarts_as_the_exit_codes_say(tmp_path: Path):
    (text,) = re.findall(r"^```ini\n(.*?)^```", OPERATIONS, re.M | re.S)
    settings = dict(re.findall(r"^(\w+)=(.*)$", text, re.M))
    prevented = set(map(int, settings["RestartPreventExitStatus"].split()))
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", COMMANDS, re.M)}
    assert settings["Restart"] == "on-failure"
    assert settings["RestartForceExitStatus"] == settings["SuccessExitStatus"] == "143"
    assert codes - prevented - {0} == {1, 4, 143}
    assert int(settings["TimeoutStopSec"]) > 25
    assert settings["KillSignal"] == "SIGTERM"
    assert settings["KillMode"] == "mixed"
    program, *words = settings["ExecStart"].split()
    assert program.endswith("/tuner")
    from tuner.cli.parser.build import build_parser

    build_parser().parse_args(words)
    if not shutil.which("systemd-analyze"):
        return
    # What it names is not there: a unit for this machine.
    here = text.replace(program, "/bin/true").replace("User=tuner\n", "").replace("/srv/tuner", "/")
    unit = tmp_path / "tuner.service"
    unit.write_text(here)
    checked = subprocess.run(
        ["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False
    )
    assert "tuner.service" not in checked.stderr, checked.stderr
