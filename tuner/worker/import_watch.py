"""Effects of importing the user's code besides the definition of names.

A process that forks must not have done any of it: threads and contexts of devices do not exist in a
fork, a socket would be shared by all forks, and each worker has a device of its own.
"""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tuner.processes import children_of

DEVICES = "CUDA_VISIBLE_DEVICES"
# The drivers keep them open from their first call on. torch itself denies that it is initialized
# after `torch.cuda.is_available()`, and in a fork refuses every device from then on.
DEVICE_FILES = ("/dev/nvidia", "/dev/kfd", "/dev/dri/")
_EVENTS = {  # of `sys.addaudithook`
    "os.fork": "starts a process",
    "os.forkpty": "starts a process",
    "os.posix_spawn": "starts a process",
    "os.system": "starts a process",
    "subprocess.Popen": "starts a process",
    "socket.__new__": "opens a socket",
}
_noted: list[str] | None = None  # while an import is watched
_hooks: list[str] = []  # a hook cannot be removed


class _Variables(dict[bytes, bytes]):
    """The environment, which notes that the devices are read."""

    def __getitem__(self, name: bytes) -> bytes:
        if name == DEVICES.encode():
            _note(f"reads {DEVICES}")
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        if name == DEVICES.encode():
            _note(f"reads {DEVICES}")
        return super().__contains__(name)


@contextmanager
def watch() -> Iterator[list[str]]:
    """Watch imports; the list has their effects afterwards: "starts a thread"."""
    global _noted
    if not _hooks:
        _hooks.append("installed")
        sys.addaudithook(_hear)
    children, n_threads = children_of(os.getpid()), _n_threads()
    n_sockets, n_devices = _n_open("socket:"), _n_open(DEVICE_FILES)
    variables = os.environ._data  # type: ignore[attr-defined]
    _set_variables(_Variables(variables))
    start = threading.Thread.start

    def start_noted(thread: threading.Thread) -> None:  # there is no event
        _note("starts a thread")
        start(thread)

    threading.Thread.start = start_noted  # type: ignore[method-assign, assignment]
    before, _noted = _noted, []
    found = _noted
    try:
        yield found
    finally:
        threading.Thread.start = start  # type: ignore[method-assign]
        changed = os.environ._data  # type: ignore[attr-defined]
        variables.clear()
        variables.update(changed)
        _set_variables(variables)
        # Compiled code raises no events.
        if _n_threads() > n_threads:
            _note("starts a thread")
        if set(children_of(os.getpid())) - set(children):
            _note("starts a process")
        if _n_open("socket:") > n_sockets:
            _note("opens a socket")
        if _n_open(DEVICE_FILES) > n_devices or _is_cuda_initialized():
            _note("initializes CUDA")
        _noted = before


def _set_variables(variables: dict[bytes, bytes]) -> None:
    os.environ._data = variables  # type: ignore[attr-defined]
    os.environb._data = variables  # type: ignore[attr-defined]


def _note(text: str) -> None:
    if _noted is not None and text not in _noted:
        _noted.append(text)


def _hear(event: str, _arguments: tuple[object, ...]) -> None:
    if _noted is not None and event in _EVENTS:
        _note(_EVENTS[event])


def _n_threads() -> int:
    return len(os.listdir("/proc/self/task"))


def _is_cuda_initialized() -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and torch.cuda.is_initialized()


def _n_open(prefixes: str | tuple[str, ...]) -> int:
    """Return the number of open files with such names."""
    return sum(_target(link).startswith(prefixes) for link in Path("/proc/self/fd").iterdir())


def _target(link: Path) -> str:
    try:
        return os.readlink(link)
    except OSError:
        return ""  # the listing's own descriptor
