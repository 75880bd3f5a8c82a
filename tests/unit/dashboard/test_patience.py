"""Connections that send no whole request are closed; those that wait for an answer are not."""

from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from uvicorn import Config
from uvicorn.server import ServerState

from tuner.dashboard.patience import PATIENCE_SECONDS, PatientProtocol


class Timer:
    def __init__(self, seconds, act):
        self.seconds, self.act, self.is_live = seconds, act, True

    def cancel(self):
        self.is_live = False


class Loop:
    """Time passes when it is told to."""

    def __init__(self) -> None:
        self.timers: list[Timer] = []

    def call_later(self, seconds, act):
        self.timers.append(Timer(seconds, act))
        return self.timers[-1]

    def create_task(self, work, **_):
        work.close()
        return Mock()

    @property
    def live(self) -> list[Timer]:
        return [timer for timer in self.timers if timer.is_live]


@pytest.fixture
def made():
    config = Config(lambda *_: None, http=PatientProtocol, lifespan="off", log_config=None)
    transport = Mock(get_extra_info=lambda *_: None)
    loop = Loop()
    protocol = PatientProtocol(config, ServerState(), {}, _loop=loop)
    protocol.connection_made(transport)
    return SimpleNamespace(protocol=protocol, loop=loop, transport=transport)


GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n"


@pytest.mark.parametrize("sent", [[], [b"GET"], [GET[:-1]], [b"G", b"E", b"T"], [POST, b"{"]])
def test_who_sends_no_whole_request_is_closed(made, sent):
    for data in sent:
        made.protocol.data_received(data)
    (timer,) = made.loop.live
    assert made.loop.timers == [timer]  # from the beginning: more bytes buy no time
    assert timer.seconds == PATIENCE_SECONDS
    timer.act()
    made.transport.close.assert_called_once()


@pytest.mark.parametrize("sent", [[GET], [GET[:9], GET[9:]], [POST, b"{}"]])
def test_who_waits_for_an_answer_is_not(made, sent):
    for data in sent:
        made.protocol.data_received(data)
    assert made.loop.live == []


def test_nothing_is_due_of_a_connection_that_has_ended(made):
    made.protocol.connection_lost(None)
    assert made.loop.live == []
