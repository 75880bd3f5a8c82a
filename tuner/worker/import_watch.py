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
    children, sockets = children_of(os.getpid()), _n_sockets()
    variables = os.environ._data  # type: ignore[attr-defined]
    os.environ._data = _Variables(variables)  # type: ignore[attr-defined]
    start = threading.Thread.start

    def start_noted(thread: threading.Thread) -> None:  # there is no event
        _note("starts a thread")
        start(thread)

    threading.Thread.start = start_noted  # type: ignore[method-assign, assignment]
    found = _noted = []
    try:
        yield found
    finally:
        threading.Thread.start = start  # type: ignore[method-assign]
        changed = os.environ._data  # type: ignore[attr-defined]
        variables.clear()
        variables.update(changed)
        os.environ._data = variables  # type: ignore[attr-defined]
        # Compiled code raises no events.
        if len(os.listdir("/proc/self/task")) > 1:
            _note("starts a thread")
        if set(children_of(os.getpid())) - set(children):
            _note("starts a process")
        if _n_sockets() > sockets:
            _note("opens a socket")
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_initialized():
            _note("initializes CUDA")
        _noted = None


def _note(text: str) -> None:
    if _noted is not None and text not in _noted:
        _noted.append(text)


def _hear(event: str, _arguments: tuple[object, ...]) -> None:
    if _noted is not None and event in _EVENTS:
        _note(_EVENTS[event])


def _n_sockets() -> int:
    return sum(_is_socket(link) for link in Path("/proc/self/fd").iterdir())


def _is_socket(link: Path) -> bool:
    try:
        return os.readlink(link).startswith("socket:")
    except OSError:
        return False  # the listing's own descriptor
