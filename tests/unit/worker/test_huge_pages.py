"""Huge pages: the same content in fewer pages, and no memory for holes."""

import mmap
import subprocess
import sys

import pytest

from tuner.worker.huge_pages import HugePages

SCRIPT = """\
import os
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap
from pathlib import Path
from tuner.worker.huge_pages import HugePages

def kilobytes(name):
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))

content = os.urandom(1 << 20) * 24
full = mmap(-1, len(content), flags=MAP_PRIVATE | MAP_ANONYMOUS)
full[:] = content
holes = mmap(-1, 64 << 20, flags=MAP_PRIVATE | MAP_ANONYMOUS)
for place in range(0, len(holes), 1 << 20):
    holes[place] = 1
before = kilobytes("Rss")
pages, n_taken = HugePages(), 0
while not pages.is_done:
    n_taken += pages.take_next()
assert full[:] == content
assert kilobytes("Rss") - before < 16 << 10, "a hole needs no memory"
assert kilobytes("AnonHugePages") >= n_taken * 2048 * 0.9
child = os.fork()
if child == 0:
    full[:8] = b"of child"
    os._exit(0)
os.waitpid(child, 0)
assert full[:] == content
print(n_taken)
"""


def test_memory_keeps_its_content_and_its_holes() -> None:
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) >= 0  # none before Linux 6.1


def test_shared_memory_is_left_alone() -> None:
    with mmap.mmap(-1, 16 << 20) as shared:
        shared[:] = b"x" * len(shared)
        pages = HugePages()
        while not pages.is_done:
            pages.take_next()
        assert shared[:] == b"x" * len(shared)


def test_a_system_without_the_tables_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert HugePages().is_done
