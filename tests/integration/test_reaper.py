"""The process above a worker: it ends as the worker does, and nothing below it is left."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tuner.messages import END_WORKER
from tuner.processes import children_of, exists

ORPHANS = """\
import os, signal, sys, time
from tuner.fork_protocol import open_channel
from tuner.worker.reaper import under_reaper

_, told = open_channel()
under_reaper(os.getppid(), told)
for _ in range(3):
    if os.fork() == 0:
        os.setsid()  # no signal to the worker's group reaches it
        os.close(1)
        if os.fork():
            os._exit(0)
        while True:
            time.sleep(60)
    os.wait()
print("ready", flush=True)
"""


def _start(end: str) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", ORPHANS + end], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def _end_of(process: "subprocess.Popen[str]") -> int:
    """Its exit code, once it has ended and its pipe is closed by all."""
    process.communicate(timeout=30)
    return process.returncode


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("sys.exit(0)", 0),
        ("sys.exit(7)", 7),
        ("os.kill(os.getpid(), signal.SIGSEGV)", -signal.SIGSEGV),
        ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
        ("os.abort()", -signal.SIGABRT),
    ],
)
def test_it_ends_as_its_worker_and_leaves_no_orphan(end: str, code: int) -> None:
    process = _start("time.sleep(0.3)\n" + end)
    below = children_of(process.pid)
    assert len(below) == 4  # the worker and three orphans
    assert _end_of(process) == code
    assert not any(map(exists, below))


def test_asked_to_end_it_kills_all_that_is_below() -> None:
    process = _start("os.kill(os.getpid(), signal.SIGSTOP)")
    below = children_of(process.pid)
    os.kill(process.pid, END_WORKER)
    assert _end_of(process) == -signal.SIGKILL
    assert not any(map(exists, below))


def test_signals_for_a_worker_reach_it() -> None:
    process = _start(
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))\nprint('armed', flush=True)\n"
        "while True: time.sleep(60)"
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "armed\n"
    process.send_signal(signal.SIGINT)  # the agent's to judge
    process.send_signal(signal.SIGTERM)
    assert _end_of(process) == 3


def test_it_ends_everything_when_its_parent_is_killed(tmp_path: Path) -> None:
    script = (
        "import subprocess, sys\n"
        "subprocess.run([sys.executable, '-c', sys.argv[1]], stdout=open(sys.argv[2], 'w'))\n"
    )
    output = tmp_path / "output"
    parent = subprocess.Popen(
        [sys.executable, "-c", script, ORPHANS + "time.sleep(600)", str(output)]
    )
    deadline = time.monotonic() + 30
    while (not output.exists() or not output.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    (reaper,) = children_of(parent.pid)
    below = [reaper, *children_of(reaper)]
    assert len(below) == 5
    parent.kill()
    parent.wait()
    while any(map(exists, below)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(map(exists, below))
