"""Guarantee 7 and its kin: the protocol under any order of events, on the real SQL.

The extended suite runs 300 examples instead of 60 and hunts every mutant;
`HYPOTHESIS_PROFILE=night` runs 5,000.
"""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy.engine import make_url

from tests.conftest import url_of
from tests.integration.protocol_machine import Protocol, World, open_world
from tuner.errors import DatabaseError
from tuner.storage.connections.connection import Database
from tuner.storage.embedded.server import Server
from tuner.storage.queries import load_queries

N_EXAMPLES = {"commit": 300, "night": 5_000}[os.environ.get("HYPOTHESIS_PROFILE", "commit")]
SETTINGS = settings(
    max_examples=N_EXAMPLES,
    stateful_step_count=30,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
# A mutant need only be found: shrinking what finds it takes longer than finding it.
HUNT = settings(SETTINGS, max_examples=300, phases=[Phase.generate])

MUTANTS = {
    "nofence: report": (
        "report",
        "report",
        "l.owner = %(me)s and l.state = 'held'\n    order by l.number\n    for share of l",
        "true",
    ),
    "nofence: end": ("end", "fence_ends", "l.owner = %(me)s and l.state in", "l.state in"),
    "nofence: checkpoint": (
        "report",
        "insert_checkpoint",
        "and l.owner = %(me)s and l.state = 'held'",
        "",
    ),
    "nobeatcheck": ("claim", "take_over", "where a.beat = s.beat", "where true"),
    "noadopt": ("claim", "adopt", "l.state = 'held'", "false"),
    "dropreports": ("report", "report", "reported order by 1, 2", "reported where false"),
    "noattempt": ("claim", "take_free", "attempt = l.attempt + 1,", ""),
    "nobudget": ("claim", "count_claims", "n_claimed + %(n_claimed)s", "n_claimed"),
    "norelease": ("end", "release", "state = 'free', owner = null,", "state = 'free',"),
}


@pytest.fixture(scope="module")
def world(server: Server, shared_database: Database) -> Iterator[World]:
    with open_world(make_url(url_of(server, "shared"))) as world:
        yield world


def test_the_protocol_holds_under_some_orders_of_events(world: World) -> None:
    Protocol.world = world
    run_state_machine_as_test(Protocol, settings=settings(SETTINGS, max_examples=60))


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_protocol_holds_under_any_order_of_events(world: World) -> None:
    Protocol.world = world
    run_state_machine_as_test(Protocol, settings=SETTINGS)


SOON_FOUND = ("nofence: end", "nobudget", "norelease")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in SOON_FOUND else pytest.mark.long) for name in MUTANTS],
)
def test_the_state_machine_finds_a_mutant(
    world: World, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, query, old, new = MUTANTS[name]
    statement = load_queries(file)[query]
    assert statement.count(old) == 1, "the mutant no longer fits the query"
    monkeypatch.setitem(load_queries(file), query, statement.replace(old, new))
    Protocol.world = world
    with pytest.raises((AssertionError, KeyError, DatabaseError, ExceptionGroup)):
        run_state_machine_as_test(Protocol, settings=HUNT)
