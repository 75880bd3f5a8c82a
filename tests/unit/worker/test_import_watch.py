"""What the watch over an import notices, in a process of its own: the code does it for real."""

import json
import os
import subprocess
import sys

import pytest

RUN = """\
import json, os, sys
from tuner.worker import import_watch

before = {**os.environ}
with import_watch.watch() as found:
    exec(sys.argv[1])
changed = {name: value for name, value in os.environ.items() if before.get(name) != value}
print(json.dumps({"found": found, "changed": changed}))
os._exit(0)
"""


def _import(code: str) -> tuple[list[str], dict[str, str]]:
    """What the code has done, and the variables that it leaves behind."""
    result = subprocess.run(
        [sys.executable, "-c", RUN, code],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    answer = json.loads(result.stdout)
    return answer["found"], answer["changed"]


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import json, csv\nx = [1]", []),
        ("import os\nos.environ['HOME'], 'PATH' in os.environ, os.getenv('LANG')", []),
        (
            "from threading import Thread\nown = Thread(target=int)\nown.start()\nown.join()",
            ["starts a thread"],
        ),
        ("import _thread, time\n_thread.start_new_thread(time.sleep, (60,))", ["starts a thread"]),
        ("import subprocess\nsubprocess.run(['true'])", ["starts a process"]),
        ("import os\nos.system('true')", ["starts a process"]),
        ("import os\nos.posix_spawn('/bin/true', ['true'], {})", ["starts a process"]),
        (
            "import os\npid = os.fork()\npid or os._exit(0)\nos.waitpid(pid, 0)",
            ["starts a process"],
        ),
        ("import socket\nsocket.socket().close()", ["opens a socket"]),
        ("import socket\nkept = socket.socketpair()", ["opens a socket"]),
    ],
)
def test_only_what_a_fork_cannot_rely_on_is_found(code: str, found: list[str]) -> None:
    assert _import(code)[0] == found


@pytest.mark.parametrize(
    "code",
    [
        "os.environ['CUDA_VISIBLE_DEVICES']",
        "os.environ.get('CUDA_VISIBLE_DEVICES')",
        "os.getenv('CUDA_VISIBLE_DEVICES')",
        "'CUDA_VISIBLE_DEVICES' in os.environ",
        "os.environ.setdefault('CUDA_VISIBLE_DEVICES', '0')",
        "dict(os.environ)",
        "os.environb.get(b'CUDA_VISIBLE_DEVICES')",
    ],
)
def test_the_devices_are_read_in_many_ways(code: str) -> None:
    assert _import(f"import os\n{code}") == (["reads CUDA_VISIBLE_DEVICES"], {})


def test_the_drivers_files_tell_of_a_device_that_torch_denies() -> None:
    """`torch.cuda.is_available()` initializes the driver, and `is_initialized()` stays False."""
    code = "import_watch.DEVICE_FILES = ('/dev/full',)\nkept = open('/dev/full')"
    assert _import(code)[0] == ["initializes CUDA"]


def test_variables_that_the_import_sets_stay() -> None:
    code = (
        "import os\nos.environ['ONE'] = '1'\nos.environb[b'TWO'] = b'2'\ndel os.environ['PATH']\n"
        "assert 'PATH' not in os.environ and os.environ['TWO'] == '2'"
    )
    assert _import(code) == ([], {"ONE": "1", "TWO": "2"})


def test_an_import_that_fails_leaves_nothing_of_the_watch() -> None:
    script = """\
import os, threading
from tuner.worker import import_watch

start, variables = threading.Thread.start, os.environ._data
try:
    with import_watch.watch() as outer:
        try:
            with import_watch.watch() as inner:
                os.getenv("CUDA_VISIBLE_DEVICES")
                raise KeyError("a mistake")
        except KeyError:
            pass
        assert inner == ["reads CUDA_VISIBLE_DEVICES"] and outer == [], (inner, outer)
        os.system("true")
        raise KeyError("another one")
except KeyError:
    pass
assert outer == ["starts a process"], outer
assert threading.Thread.start is start
assert os.environ._data is os.environb._data is variables
os.system("true")
os.getenv("CUDA_VISIBLE_DEVICES")
assert outer == ["starts a process"], "nothing is noted any more"
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
