"""A user's module that is imported once, by the template, and the workers that fork from it."""

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.worker_processes import (
    WorkerProcess,
    setup_of_function,
    start_of_trial,
)
from tuner.agent.workers.template import Template
from tuner.messages import FromWorker, Left, RanCode, Ready
from tuner.processes import exists
from tuner.study.verdict import Outcome

pytestmark = pytest.mark.usefixtures("light")

TRAIN = """\
import os

IMPORTED_IN = os.getpid()


def train(trial):
    trial.set_user_attr("imported_in", IMPORTED_IN)
    trial.set_user_attr("ran_in", os.getpid())
    return 0.5
"""


class Machine:
    """A template with a preloaded function, and its workers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.template: Any = None
        self._workers: list[WorkerProcess] = []

    def write(self, code: str) -> None:
        """Write the file; a restarted template reads it, and not what was compiled before."""
        (self.folder / "train.py").write_text(code)
        os.utime(self.folder / "train.py", ns=(time.time_ns(), time.time_ns()))

    def preload(self, code: str) -> None:
        """Start a template with this code."""
        self.write(code)
        self.template = Template("function", 1, preloaded=("train.py:train", str(self.folder)))

    def fork(self) -> WorkerProcess:
        """A worker that has started."""
        log = self.folder.parent / f"worker-{len(self._workers)}.log"
        self._workers.append(WorkerProcess(log, template=self.template))
        assert self._workers[-1].process.pid
        return self._workers[-1]

    def train(self, worker: WorkerProcess, **setup: Any) -> list[FromWorker]:
        """Train a trial, and return what the worker says about it."""
        worker.say(setup_of_function(self.folder, **setup), start_of_trial())
        return [said for said in worker.all_until_left() if not isinstance(said, Ready)]

    def facts(self) -> dict[str, Any]:
        """The attributes of a complete trial in a new worker."""
        left = self.train(self.fork())[-1]
        assert isinstance(left, Left)
        assert left.how is Outcome.COMPLETE, left
        return dict(left.facts)

    def close(self) -> None:
        for worker in self._workers:
            if worker.process.exit_fd >= 0:
                worker.close()
        if self.template is not None:
            self.template.close()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine without a template yet."""
    (tmp_path / "spool").mkdir(mode=0o700)
    (tmp_path / "study").mkdir()
    machine = Machine(tmp_path / "study")
    yield machine
    machine.close()


def test_a_module_is_imported_once_for_all_workers(machine: Machine) -> None:
    machine.preload(TRAIN)
    first, second = machine.fork(), machine.fork()
    assert first.process.note == second.process.note == ""
    facts = [machine.facts(), machine.facts()]
    assert [each["imported_in"] for each in facts] == [machine.template.pid] * 2
    assert len({machine.template.pid, *(each["ran_in"] for each in facts)}) == 3


@pytest.mark.parametrize(
    ("code", "found"),
    [
        (
            "import threading, time\n"
            "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
            "starts a thread",
        ),
        ("import socket\nsocket.socket().close()", "opens a socket"),
        ("import os\nN_DEVICES = os.getenv('CUDA_VISIBLE_DEVICES')", "reads CUDA_VISIBLE_DEVICES"),
    ],
)
def test_what_no_fork_can_rely_on_is_imported_by_each_worker(
    machine: Machine, code: str, found: str
) -> None:
    changes = (
        "import os\nos.environ['N'] = str(int(os.getenv('N', '0')) + 1)\nos.chdir(os.sep)\n"
        "FOLDERS = os.environ['PATH']\nos.environ['PATH'] += ':/added'\n"
    )
    shows = (
        "    trial.set_user_attr('n', os.environ['N'])\n    trial.set_user_attr('path', FOLDERS)\n"
    )
    end = "    return 0.5\n"
    machine.preload(f"{code}\n{changes}{TRAIN.removesuffix(end)}{shows}{end}")
    first = machine.fork()
    assert first.process.note == f"train.py is not preloaded, because importing it {found}"
    assert machine.fork().process.note == "", "it is said once"
    for _ in range(2):
        facts = machine.facts()
        assert facts["imported_in"] == facts["ran_in"]
        assert facts["n"] == "1", "nothing of the first import is left"
        assert "/added" not in facts["path"]


@pytest.mark.parametrize(
    "start",
    [
        "child = subprocess.Popen(['sleep', '600'])\nsay(child.pid)",
        "if (pid := os.fork()) == 0:\n"  # a daemon, whose parent has ended
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        say(os.getpid())\n"
        "        time.sleep(600)\n"
        "    os._exit(0)\n"
        "os.waitpid(pid, 0)\n",
    ],
    ids=["child", "daemon"],
)
def test_a_process_that_the_import_starts_ends_with_it(machine: Machine, start: str) -> None:
    once = machine.folder / "pid"
    machine.preload(
        "import os, subprocess, time\n"
        f"def say(pid): open({str(once)!r}, 'x').write(str(pid))\n"
        f"if not os.path.exists({str(once)!r}):\n"
        + "".join(f"    {line}\n" for line in start.splitlines())
        + f"    while not (os.path.exists({str(once)!r}) and open({str(once)!r}).read()):\n"
        + f"        time.sleep(0.01)\n{TRAIN}"
    )
    worker = machine.fork()
    assert worker.process.note == (
        "train.py is not preloaded, because importing it starts a process"
    )
    deadline = time.monotonic() + 30
    while exists(int(once.read_text())) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not exists(int(once.read_text()))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no file of mine", "no file of mine"),
        ("a\0b \udc80", "a"),
        ("\U0001f4a5" * 3000, "\U0001f4a5" * 100),
    ],
    ids=["plain", "binary", "long"],
)
def test_an_import_that_raises_fails_each_trial_with_its_message(
    machine: Machine, text: str, shown: str
) -> None:
    machine.preload(f"raise ValueError({text!a})\n")
    worker = machine.fork()
    begin = f"importing train.py failed: ValueError: {shown}"
    assert worker.process.note.startswith(f"train.py is not preloaded, because {begin}")
    left = machine.train(worker)[-1]
    assert isinstance(left, Left)
    assert left.how is Outcome.MISTAKE
    assert left.message.startswith(begin)
    if text == shown:
        assert left.message == f"{begin} (train.py:1 in <module>)"


def test_a_changed_file_is_for_the_next_worker_and_not_for_one_that_runs(machine: Machine) -> None:
    ends = TRAIN.replace("return 0.5", "os._exit(7)")
    machine.preload(ends)
    old = _hash_of(machine)
    before, spare = machine.fork(), machine.fork()
    machine.write(TRAIN)
    pid = machine.template.pid
    ran, left = machine.train(machine.fork(), code=old)
    assert isinstance(ran, RanCode)
    assert ran.code == _hash_of(machine) != old
    assert isinstance(left, Left)
    assert left.how is Outcome.COMPLETE
    assert left.facts["imported_in"] == machine.template.pid == pid, "the same process, again"
    # Forked before the change, and started after it: it runs the old content, and says no other.
    spare.say(setup_of_function(machine.folder, code=old), start_of_trial())
    assert spare.wait() == 7
    spare.close()
    said = [spare.heard.get() for _ in range(spare.heard.qsize())]
    assert said
    assert not [each for each in said if isinstance(each, RanCode)]
    before.say(setup_of_function(machine.folder, code=old), start_of_trial())
    assert before.wait() == 7


def test_a_module_that_is_changed_again_and_again_leaks_no_descriptor(machine: Machine) -> None:
    machine.preload(TRAIN)
    kept = machine.fork()
    files = Path(f"/proc/{machine.template.pid}/fd")
    n_files = len(list(files.iterdir()))
    for number in range(6):
        machine.write(f"{TRAIN}\nNUMBER = {number}\n")
        worker = machine.fork()
        worker.hang_up()
        assert worker.wait() == 0
    deadline = time.monotonic() + 30
    while len(list(files.iterdir())) > n_files and time.monotonic() < deadline:
        time.sleep(0.01)  # it is told of the last end a moment later
    assert len(list(files.iterdir())) <= n_files
    machine.train(kept)
    assert kept.wait() == 0


def test_a_module_may_ask_for_input_and_replace_its_output(machine: Machine) -> None:
    machine.preload(
        "import sys\n"
        "GIVEN = sys.stdin.read()\n"
        "class Tee:\n"
        "    def __init__(self, stream): self.stream = stream\n"
        "    def write(self, text): return self.stream.write(text)\n"
        "    def flush(self): self.stream.flush()\n"
        "print('imported')\n"
        "sys.stdout, sys.stderr = Tee(sys.stdout), Tee(sys.stderr)\n"
        + TRAIN.replace("return 0.5", "print('training', GIVEN)\n    return 0.5")
    )
    for _ in range(2):
        worker = machine.fork()
        assert worker.process.note == ""
        machine.train(worker)
        assert worker.wait() == 0
        assert worker.log.read_text() == "training \n"


def test_what_a_module_opens_serves_every_worker(machine: Machine) -> None:
    lines = machine.folder / "lines.txt"
    machine.preload(
        f"import tempfile\nlines = open({str(lines)!r}, 'a')\nlines.write('imported\\n')\n"
        "folder = tempfile.TemporaryDirectory()\n"
        + TRAIN.replace(
            "return 0.5",
            "lines.write('trained\\n')\n    open(folder.name + '/x', 'w').close()\n    return 0.5",
        )
    )
    for _ in range(2):
        worker = machine.fork()
        left = machine.train(worker)[-1]
        assert isinstance(left, Left)
        assert left.how is Outcome.COMPLETE, "no worker removes the folder of all"
        assert worker.wait() == 0
    assert lines.read_text().splitlines() == ["imported", "trained", "trained"]


def _hash_of(machine: Machine) -> dict[str, str]:
    content = (machine.folder / "train.py").read_bytes()
    return {"train.py": hashlib.sha256(content).hexdigest()}
