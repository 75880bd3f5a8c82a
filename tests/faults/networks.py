"""Machines that can be cut off: network namespaces on a bridge, where the database listens."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "tuner"


class Network:
    """A bridge with an address, and namespaces whose links can be cut."""

    def __init__(self, n_machines: int) -> None:
        pid = os.getpid()
        self._name = f"{_PREFIX}{pid}"  # an interface's name has at most 15 characters
        self._network = f"10.{100 + pid % 100}.{pid // 100 % 256}"
        self.address = f"{self._network}.1"
        self._cut_at: dict[int, float] = {}
        self.machines = [f"{self._name}-{index}" for index in range(n_machines)]

    def build(self) -> None:
        """All of it; `remove` also works on a half-built one."""
        _ip("link", "add", self._name, "type", "bridge")
        _ip("addr", "add", f"{self.address}/24", "dev", self._name)
        _ip("link", "set", self._name, "up")
        for index, machine in enumerate(self.machines):
            outside, inside = self._link(index), f"{self._name}i{index}"
            _ip("netns", "add", machine)
            _ip("link", "add", outside, "type", "veth", "peer", "name", inside)
            _ip("link", "set", inside, "netns", machine)
            _ip("link", "set", outside, "master", self._name)
            _ip("link", "set", outside, "up")
            own = f"{self._network}.{index + 2}/24"
            _ip("-n", machine, "addr", "add", own, "dev", inside)
            _ip("-n", machine, "link", "set", inside, "up")
            _ip("-n", machine, "link", "set", "lo", "up")

    def cut(self, index: int) -> None:
        """What is sent from now on vanishes: no error, no answer."""
        _ip("link", "set", self._link(index), "down")
        self._cut_at[index] = time.monotonic()

    def cut_seconds(self, index: int) -> float:
        """How long ago that was."""
        return time.monotonic() - self._cut_at[index]

    def heal(self, index: int) -> None:
        """Packets flow again."""
        _ip("link", "set", self._link(index), "up")

    def remove(self) -> None:
        """Everything that this process has made."""
        for machine in self.machines:
            _try("netns", "del", machine)
        for index in range(len(self.machines)):
            _try("link", "del", self._link(index))
        _try("link", "del", self._name)

    def _link(self, index: int) -> str:
        return f"{self._name}v{index}"


@contextmanager
def open_network(n_machines: int) -> Iterator[Network]:
    """Removed at the end, whatever happened; what dead runs left behind as well."""
    _remove_leftovers()
    network = Network(n_machines)
    try:
        network.build()
        yield network
    finally:
        network.remove()


def _remove_leftovers() -> None:
    for path in Path("/run/netns").glob(f"{_PREFIX}[0-9]*-*"):
        pid = path.name.removeprefix(_PREFIX).split("-")[0]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            _try("netns", "del", path.name)
            _try("link", "del", f"{_PREFIX}{pid}")


def _try(*words: str) -> None:
    with suppress(subprocess.CalledProcessError):
        _ip(*words)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=20)
