"""A server that answers nobody for a moment is waited for, and nobody is turned away for it."""

import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tuner.errors import UsageError
from tuner.storage.embedded import server as module
from tuner.storage.embedded.home import Home
from tuner.storage.embedded.listening import Listen
from tuner.storage.embedded.server import Server, open_server


@pytest.fixture
def home() -> Iterator[Home]:
    path = Path(tempfile.mkdtemp(prefix="tuner-revive-"))
    path.chmod(0o711)
    home = Home(path=path)
    yield home
    end = time.monotonic() + 30
    while (home.server / "data" / "postmaster.pid").exists() and time.monotonic() < end:
        time.sleep(0.05)  # the keeper stops it
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def served(home: Home) -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        listen = Listen(address="127.0.0.1", port=probe.getsockname()[1])
    server = open_server(home, listen)
    yield server
    server.close()


def _deaf_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a crash recovery: the first look finds it closed, the next one open."""
    looks: list[Path] = []
    is_up = module._is_up

    def look(folder: Path) -> bool:
        looks.append(folder)
        return len(looks) > 1 and is_up(folder)

    monkeypatch.setattr(module, "_is_up", look)


def test_a_server_for_other_machines_that_recovers_is_not_refused_to_those_who_use_it(
    home: Home, served: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    _deaf_once(monkeypatch)
    served.revive()
    _deaf_once(monkeypatch)
    open_server(home).close()  # `tuner status`, at such a moment


def test_whoever_wants_another_address_is_still_refused(
    home: Home, served: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    _deaf_once(monkeypatch)
    with pytest.raises(UsageError, match="is already running"):
        open_server(home, Listen(address="127.0.0.1", port=1))
