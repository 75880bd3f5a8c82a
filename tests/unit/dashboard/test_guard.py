"""What passes the guard, and what does not."""

import itertools

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse

from tests.unit.dashboard.asgi_calls import call
from tuner.dashboard.access import Access
from tuner.dashboard.guard import MAX_BODY, Guard, Guarding
from tuner.dashboard.hosts import LOOPBACK

ACTION = {
    "content-type": "application/json",
    "origin": "http://127.0.0.1:8090",
    "x-tuner-action": "1",
    "content-length": "2",
}


class Inside:
    """Counts what comes through, and reads its body."""

    def __init__(self) -> None:
        self.n_requests = 0
        self.body = b""

    async def __call__(self, scope, receive, send):
        self.n_requests += 1
        self.body = await Request(scope, receive).body()
        await PlainTextResponse("inside")(scope, receive, send)


@pytest.fixture
def inside() -> Inside:
    return Inside()


@pytest.fixture
def access() -> Access:
    return Access(key=b"k" * 32)


def _guard(inside: Inside, access: Access, *, actions: bool = False) -> Guard:
    guarding = Guarding(hosts=LOOPBACK, allow_actions=actions, cookie="tuner_8090")
    return Guard(inside, access=access, guarding=guarding)


def _cookie(access: Access) -> dict[str, str]:
    return {"cookie": f"tuner_8090={access.new_session()}"}


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW")
HOSTS = ("127.0.0.1:8090", "127.0.0.1.evil.example:8090")
ORIGINS = (None, "http://127.0.0.1:8090", "http://evil.example", "http://127.0.0.1:9999",
           "http://[x")  # fmt: skip
KINDS = (None, "application/json", "text/plain")
PATHS = ("/", "/s/plain/actions/stop", "/static/x/page.js")


@pytest.mark.parametrize("actions", [False, True])
def test_only_what_is_meant_comes_through(inside, access, actions):
    """Every method x host x origin x content type x header x session, for all kinds of paths."""
    guard = _guard(inside, access, actions=actions)
    n_tried = 0
    for method, host, origin, kind, mark, is_in, path in itertools.product(
        METHODS, HOSTS, ORIGINS, KINDS, (False, True), (False, True), PATHS
    ):
        headers = {"host": host, "content-length": "2"}
        headers |= {"origin": origin} if origin else {}
        headers |= {"content-type": kind} if kind else {}
        headers |= {"x-tuner-action": "1"} if mark else {}
        headers |= _cookie(access) if is_in else {}
        before = inside.n_requests
        answer = call(guard, method, path, headers=headers, body=b"{}")
        is_own = host == HOSTS[0]
        may_look = method == "GET" and (is_in or path.startswith("/static/"))
        may_act = (
            actions and method == "POST" and mark and is_in
            and kind == "application/json" and origin == "http://127.0.0.1:8090"
        )  # fmt: skip
        may_fetch = actions and method == "POST" and path.startswith("/static/") and mark and (
            kind == "application/json" and origin == "http://127.0.0.1:8090"
        )  # fmt: skip
        is_through = inside.n_requests > before
        assert is_through == (is_own and (may_look or may_act or may_fetch)), (method, headers)
        assert (answer.status == 200) == is_through
        assert answer.status < 500
        assert "content-security-policy" in answer.headers
        n_tried += 1
    assert n_tried == 2880


def test_a_request_without_a_host_or_with_two_is_refused(inside, access):
    guard = _guard(inside, access)
    two = [(b"host", b"evil.example")]
    assert call(guard, headers=_cookie(access), extra=two).status == 400
    assert inside.n_requests == 0


def test_every_answer_carries_the_headers_that_protect_it(inside, access):
    for headers in (_cookie(access), {}, {"host": "evil.example"}):
        answer = call(_guard(inside, access), headers=headers)
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in answer.headers


def test_a_token_becomes_a_cookie_and_leaves_the_address(inside, access):
    token = access.new_token()
    answer = call(_guard(inside, access), path="/s/plain", query=f"a=1&token={token}")
    assert (answer.status, answer.headers["location"]) == (303, "/s/plain?a=1")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert token not in cookie
    assert inside.n_requests == 0


@pytest.mark.parametrize("path", ["//evil.example/x", "/\\evil.example", "///evil.example"])
def test_a_token_leads_to_no_other_site(inside, access, path):
    answer = call(_guard(inside, access), path=path, query=f"token={access.new_token()}")
    assert answer.headers["location"].startswith("/")
    assert not answer.headers["location"].startswith(("//", "/\\"))


def test_a_wrong_token_is_refused_and_guessing_comes_to_an_end(inside, access):
    access.new_token()
    guard = _guard(inside, access)
    answers = [call(guard, query="token=wrong").status for _ in range(12)]
    assert answers == [401] * 10 + [429] * 2


def test_whoever_guesses_keeps_nobody_out_who_knows(inside, access):
    guard = _guard(inside, access)
    for _ in range(12):
        call(guard, query="token=wrong")
    assert call(guard, query="token=wrong", headers=_cookie(access)).status == 303
    assert call(guard, query=f"token={access.new_token()}").status == 303
    assert call(guard, query="token=wrong").status == 429


def test_the_same_link_once_more_leads_in_where_it_has_led_before(inside, access):
    token = access.new_token()
    guard = _guard(inside, access)
    call(guard, query=f"token={token}")
    assert call(guard, query=f"token={token}", headers=_cookie(access)).status == 303
    assert call(guard, query=f"token={token}").status == 401


@pytest.mark.parametrize("length", [None, "x", "-1", str(MAX_BODY + 1), "10000000000"])
def test_an_action_says_how_long_it_is(inside, access, length):
    headers = {**ACTION, **_cookie(access)}
    headers.pop("content-length")
    headers |= {"content-length": length} if length else {}
    assert call(_guard(inside, access, actions=True), "POST", headers=headers).status == 413
    assert inside.n_requests == 0


def test_a_body_that_is_longer_than_it_said_ends(inside, access):
    headers = {**ACTION, **_cookie(access)}
    with pytest.raises(ClientDisconnect):
        call(
            _guard(inside, access, actions=True),
            "POST",
            headers=headers,
            body=b"x" * (MAX_BODY + 1),
        )
    assert inside.body == b""


def test_an_address_without_end_is_refused(inside, access):
    answer = call(_guard(inside, access), query="a=" + "x" * 20_000, headers=_cookie(access))
    assert answer.status == 414
