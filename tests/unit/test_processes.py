"""What /proc says of processes."""

import os
import subprocess
import sys
import time

from tuner.processes import children_of, descendants_of, environment_of, exists, started_at

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def test_a_process_exists_until_it_ends_even_if_nobody_waits_for_it() -> None:
    process = subprocess.Popen(SLEEP, env={**os.environ, "MARK": "a=b"})
    try:
        assert exists(process.pid)
        assert started_at(process.pid) == started_at(process.pid) is not None
        assert process.pid in children_of(os.getpid())
    finally:
        process.kill()
    deadline = time.monotonic() + 30
    while exists(process.pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not exists(process.pid)  # a zombie by now
    assert started_at(process.pid) is None
    process.wait()
    assert environment_of(process.pid) == {}


def test_the_environment_is_that_of_the_start() -> None:
    process = subprocess.Popen(["sleep", "60"], env={"MARK": "a=b", "EMPTY": ""})
    try:
        deadline = time.monotonic() + 30
        while "MARK" not in environment_of(process.pid) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert environment_of(process.pid) == {"MARK": "a=b", "EMPTY": ""}
    finally:
        process.kill()
        process.wait()


def test_descendants_are_found_below_their_parents() -> None:
    shell = subprocess.Popen(["sh", "-c", "sleep 60 & sleep 61 & wait"])
    try:
        deadline = time.monotonic() + 30
        while len(descendants_of(shell.pid)) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        found = descendants_of(os.getpid())
        below = descendants_of(shell.pid)
        assert len(below) == 2
        assert {shell.pid, *below} <= set(found)
        assert all(found.index(shell.pid) < found.index(pid) for pid in below)
    finally:
        for pid in [*descendants_of(shell.pid), shell.pid]:
            os.kill(pid, 9)
        shell.wait()
