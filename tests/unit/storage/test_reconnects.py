"""Refusals after an acceptance: an outage, asked again twice a minute at most."""

import pytest

from tuner.errors import DatabaseRefused
from tuner.storage.connections.reconnects import Reconnects, is_answer, is_refusal

REFUSALS = [
    'FATAL:  password authentication failed for user "x"',
    'FATAL:  no pg_hba.conf entry for host "10.0.0.1", user "x", database "y", no encryption',
    'FATAL:  role "x" is not permitted to log in',
    "FATAL:  sorry, too many clients already",
    'FATAL:  too many connections for role "x"',
    "FATAL:  remaining connection slots are reserved for non-replication superuser connections",
    'FATAL:  database "y" does not exist',
    'FATAL:  database "y" is not currently accepting connections',
    "SSL error: certificate verify failed",
    "server does not support SSL, but SSL was required",
    "FATAL:  Passwort-Authentifizierung für Benutzer »x« fehlgeschlagen",
    "FATAL:  no such user: x",
    "FATAL:  server login has been failing, cached error: password authentication failed "
    "(server_login_retry)",
]
OUTAGES = [
    'connection to server at "h", port 5432 failed: Connection refused',
    "FATAL:  the database system is starting up",
    "FATAL:  the database system is shutting down",
    "FATAL:  the database system is in recovery mode",
    "FATAL:  the database system is not yet accepting connections",
    "FATAL:  pgbouncer cannot connect to server",
    "FATAL:  server login has been failing, try again later (server_login_retry)",
    "server closed the connection unexpectedly",
    "timeout expired",
    "",
]


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def accepted(clock: Clock) -> Reconnects:
    reconnects = Reconnects(clock=clock)
    reconnects.admit()
    reconnects.succeed()
    return reconnects


@pytest.mark.parametrize("text", REFUSALS)
def test_a_refusal_is_an_answer(text: str, accepted: Reconnects) -> None:
    assert is_answer(text)
    with pytest.raises(DatabaseRefused) as error:
        accepted.fail(text, is_refusal=True)
    assert str(error.value) == text


@pytest.mark.parametrize("text", OUTAGES)
def test_an_outage_is_no_refusal(text: str, accepted: Reconnects) -> None:
    assert not is_answer(text)
    assert not is_refusal(text)
    accepted.fail(text, is_refusal=False)
    accepted.admit()


def test_the_first_refusal_of_a_process_is_its_callers() -> None:
    reconnects = Reconnects()
    for _ in range(3):
        reconnects.admit()
        reconnects.fail(REFUSALS[0], is_refusal=True)


def test_one_attempt_in_thirty_seconds_follows_a_refusal(
    accepted: Reconnects, clock: Clock
) -> None:
    with pytest.raises(DatabaseRefused):
        accepted.fail(REFUSALS[0], is_refusal=True)
    n_attempts = 0
    for _ in range(1200):
        clock.now += 0.1
        try:
            accepted.admit()
        except DatabaseRefused as error:
            assert str(error) == REFUSALS[0]  # noqa: PT017 - most of them
            continue
        n_attempts += 1
        with pytest.raises(DatabaseRefused):  # another thread, while this one asks
            accepted.admit()
        with pytest.raises(DatabaseRefused):
            accepted.fail(REFUSALS[0], is_refusal=True)
    assert n_attempts in (3, 4)


def test_a_restart_after_a_refusal_needs_no_long_pause(accepted: Reconnects, clock: Clock) -> None:
    with pytest.raises(DatabaseRefused):
        accepted.fail(REFUSALS[0], is_refusal=True)
    clock.now += 31
    accepted.admit()
    accepted.fail("FATAL:  the database system is starting up", is_refusal=False)
    accepted.admit()
    accepted.succeed()
    accepted.admit()
