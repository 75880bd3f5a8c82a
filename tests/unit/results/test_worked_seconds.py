"""How long a study took: the time in which an agent was at work on it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.unit.cli.builders import agent
from tuner.results.summary import worked_seconds

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def _agent(begin, end, *, is_lost=False):
    left, seen = NOON + timedelta(seconds=end), NOON + timedelta(seconds=end)
    return replace(
        agent(),
        joined_at=NOON + timedelta(seconds=begin),
        left_at=None if is_lost else left,
        seen_at=seen,
    )


@pytest.mark.parametrize(
    ("agents", "seconds"),
    [
        ([(0, 100)], 90),  # from the first trial's start to the last one's end
        ([(0, 40), (10_000, 10_100)], 30 + 50),  # extended hours later
        ([(0, 60), (20, 100)], 90),
        ([(20, 30), (0, 100)], 90),
        ([], 90),  # another program's trials
    ],
)
def test_idle_time_between_agents_does_not_count(agents, seconds):
    last = 100 if max((end for _, end in agents), default=0) <= 100 else 10_050
    span = (NOON.timestamp() + 10, NOON.timestamp() + last)
    assert worked_seconds(span, [_agent(*each) for each in agents]) == pytest.approx(seconds)


def test_a_lost_agent_counts_until_its_last_heartbeat():
    span = (NOON.timestamp(), NOON.timestamp() + 500)
    agents = [_agent(0, 50, is_lost=True), _agent(400, 600)]
    assert worked_seconds(span, agents) == pytest.approx(150)


def test_without_a_trial_there_is_no_time():
    assert worked_seconds(None, [_agent(0, 10)]) is None
