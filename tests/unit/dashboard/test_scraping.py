"""Who may read the metrics and ask for the health, and what the answers are."""

import asyncio

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.unit.dashboard.asgi_calls import Answer, call
from tests.unit.dashboard.test_guard import Inside
from tuner.dashboard import health
from tuner.dashboard.access import Access
from tuner.dashboard.guard import Guard, Guarding
from tuner.dashboard.health import Health
from tuner.dashboard.hosts import LOOPBACK
from tuner.dashboard.metrics import render_metrics
from tuner.errors import DatabaseAway

TOKEN = "a" * 40


def _ask(path: str, token: str | None = TOKEN, method: str = "GET", **headers: str) -> Answer:
    access = Access(key=b"k" * 32, metrics_token=token)
    guarding = Guarding(hosts=LOOPBACK, allow_actions=True, cookie="tuner_8090")
    return call(Guard(Inside(), access=access, guarding=guarding), method, path, headers=headers)


def test_the_metrics_need_their_token() -> None:
    assert _ask("/metrics", authorization=f"Bearer {TOKEN}").status == 200
    assert _ask("/metrics", authorization=f"bearer {TOKEN}").status == 200
    for wrong in ("", "Bearer", "Bearer ", f"Basic {TOKEN}", f"Bearer {TOKEN}x", TOKEN):
        refused = _ask("/metrics", authorization=wrong)
        assert (refused.status, refused.headers["www-authenticate"]) == (401, "Bearer"), wrong


def test_without_a_token_file_there_are_no_metrics() -> None:
    assert _ask("/metrics", None).status == 404
    assert _ask("/metrics", None, authorization="Bearer ").status == 404


def test_the_token_of_the_metrics_opens_no_page() -> None:
    for path in ("/", "/s/plain", "/metricsx", "/metrics/", "/healthz/"):
        assert _ask(path, authorization=f"Bearer {TOKEN}").status == 401, path


def test_the_health_needs_no_token_but_a_host_of_ours() -> None:
    assert _ask("/healthz").status == 200
    for path in ("/healthz", "/metrics"):
        foreign = _ask(path, host="evil.example", authorization=f"Bearer {TOKEN}")
        assert foreign.status == 400
        for method in ("POST", "PUT", "DELETE", "HEAD", "OPTIONS"):
            assert _ask(path, method=method, authorization=f"Bearer {TOKEN}").status in (405, 415)


def test_guesses_are_limited() -> None:
    access = Access(key=b"k" * 32, metrics_token=TOKEN)
    guarding = Guarding(hosts=LOOPBACK, allow_actions=False, cookie="tuner_8090")
    guard = Guard(Inside(), access=access, guarding=guarding)
    wrong = {"authorization": "Bearer x"}
    statuses = [call(guard, "GET", "/metrics", headers=wrong).status for _ in range(12)]
    assert statuses == [401] * 10 + [429] * 2
    right = {"authorization": f"Bearer {TOKEN}"}
    assert call(guard, "GET", "/metrics", headers=right).status == 200, "Prometheus is not blocked"


def test_the_database_is_asked_at_most_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, answers = {"now": 100.0}, [0.002, None, 0.003]
    asked = []

    def measure(_database: object) -> float:
        asked.append(clock["now"])
        answer = answers[len(asked) - 1]
        if answer is None:
            raise DatabaseAway("away")
        return answer

    monkeypatch.setattr(health, "measure_round_trip", measure)
    found = Health(database=None, clock=lambda: clock["now"])  # type: ignore[arg-type]

    async def look_at(*times: float) -> list[float | None]:
        seen = []
        for now in times:
            clock["now"] = now
            seen.append(await found.look())
        return seen

    assert asyncio.run(look_at(100.0, 100.5, 101.5, 102.0, 103.0)) == [
        0.002,
        0.002,
        None,
        None,
        0.003,
    ]
    assert len(asked) == 3


def test_of_a_database_that_is_away_the_metrics_say_only_that() -> None:
    (only,) = text_string_to_metric_families(render_metrics((), None).decode())
    assert (only.name, [sample.value for sample in only.samples]) == ("tuner_database_up", [0.0])
