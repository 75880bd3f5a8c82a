"""Tokens and sessions."""

import pytest

from tuner.dashboard.access import SESSION_SECONDS, Access


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 1e9

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def access(clock: Clock) -> Access:
    return Access(key=b"k" * 32, clock=clock)


def test_a_token_for_one_browser_works_once(access):
    token = access.new_token()
    assert len(token) >= 43  # 32 bytes
    assert access.redeem(token)
    assert not access.redeem(token)


def test_a_used_token_calls_for_the_next_one(access):
    made = []
    access.on_used = lambda: made.append(access.new_token())
    access.redeem(access.new_token())
    assert access.redeem(made[0])


def test_a_new_token_voids_the_one_before(access):
    first, second = access.new_token(), access.new_token()
    assert not access.redeem(first)
    assert access.redeem(second)


def test_the_token_of_a_file_is_good_for_everybody(clock):
    access = Access(key=b"k" * 32, shared_token="t" * 40, clock=clock)
    assert access.redeem("t" * 40)
    assert access.redeem("t" * 40)
    assert not access.redeem("t" * 39)


@pytest.mark.parametrize("token", ["", "x", "ü", "\ud800".encode(errors="replace").decode()])
def test_nothing_else_is_a_token(access, token):
    assert not access.redeem(token)
    access.new_token()
    assert not access.redeem(token)


def test_a_session_lives_on_in_another_process_with_the_same_key(access, clock):
    session = access.new_session()
    assert Access(key=b"k" * 32, clock=clock).is_session(session)
    assert not Access(key=b"x" * 32, clock=clock).is_session(session)


def test_a_session_ends_with_its_time_and_with_the_token_file_that_opened_it(access, clock):
    session = access.new_session()
    assert not Access(key=b"k" * 32, shared_token="t" * 40, clock=clock).is_session(session)
    clock.now += SESSION_SECONDS - 1
    assert access.is_session(session)
    clock.now += 2
    assert not access.is_session(session)


def test_a_changed_session_is_none(access):
    expires, nonce, signature = access.new_session().split(".")
    assert not access.is_session(f"{int(expires) + 1}.{nonce}.{signature}")
    assert not access.is_session(f"{expires}.{nonce}.{signature[:-1]}")
    for text in ("", ".", "..", "9999999999..", "9999999999.x.", "é.é.é"):
        assert not access.is_session(text)


def test_guessing_is_slowed_down_by_address(access, clock):
    for _ in range(10):
        assert not access.is_blocked("10.0.0.1")
        access.count_wrong("10.0.0.1")
    assert access.is_blocked("10.0.0.1")
    assert not access.is_blocked("10.0.0.2")
    clock.now += 61
    assert not access.is_blocked("10.0.0.1")


def test_many_addresses_do_not_fill_the_memory(access):
    for n in range(5000):
        access.count_wrong(f"address {n}")
    assert len(access._wrong) <= 1000


def test_what_is_shown_of_it_holds_no_secret():
    access = Access(key=b"secret key", shared_token="secret token")
    assert "secret" not in repr(access)
