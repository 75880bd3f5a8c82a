"""The socket between a worker and the first rank of a trial."""

import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.worker_processes import start_of_trial
from tuner.messages import Continue, FromWorker, Reported, Stop, encode
from tuner.worker.ranks.follow import _open_relay


class Lane:
    """A followed lane; it has heard the first rank's messages."""

    start = start_of_trial()
    is_released = False

    def __init__(self) -> None:
        self.heard: list[FromWorker] = []
        self.has_heard = threading.Event()

    def relay(self, forward: Callable[[Continue | Stop], None]) -> None:
        self.forward = forward

    def pass_on(self, message: FromWorker) -> None:
        self.heard.append(message)
        self.has_heard.set()

    def wait(self, seconds: float) -> None: ...


REPORTED = Reported(number=4, attempt=1, step=1, values={"val_loss": 0.5})


def _connect(path: Path) -> socket.socket:
    rank = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    rank.connect(str(path))
    return rank


def test_a_rank_that_keeps_its_end_open_does_not_hold_the_worker(tmp_path: Path) -> None:
    lane = Lane()
    with _open_relay(tmp_path / "lane", lane):
        rank = _connect(tmp_path / "lane")
        rank.sendall(encode(REPORTED))
        assert lane.has_heard.wait(60)
    assert lane.heard == [REPORTED]
    rank.close()


def test_a_rank_that_never_connects_does_not_hold_the_worker(tmp_path: Path) -> None:
    with _open_relay(tmp_path / "lane", Lane()):
        pass


def test_a_killed_rank_leaves_no_traceback(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lane = Lane()
    with _open_relay(tmp_path / "lane", lane):
        rank = _connect(tmp_path / "lane")
        rank.sendall(encode(REPORTED))
        assert lane.has_heard.wait(60)
        lane.forward(Continue(number=4, attempt=1, step=1))
        # Its end with an unread answer resets the connection.
        rank.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        rank.close()
    assert capfd.readouterr().err == ""
