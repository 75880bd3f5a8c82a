"""Silence is judged by one's own clock and polls alone."""

import uuid
from dataclasses import replace

from tuner.agent.observing import Observer
from tuner.study.agents import AgentBeat

OTHER = AgentBeat(agent_id=uuid.uuid4(), beat=5, host="far", boot="their boot", pid=77)


def _observer(*, alive: bool = True) -> Observer:
    return Observer(
        boot="my boot", lease_seconds=3.0, max_gap_seconds=1.5, exists=lambda pid: alive
    )


def _poll(observer: Observer, other: AgentBeat, start: float, end: float) -> list[AgentBeat]:
    """Poll every half second from `start` to `end`; the last answer."""
    silent: list[AgentBeat] = []
    now = start
    while now <= end:
        silent = observer.note([other], now)
        now += 0.5
    return silent


def test_an_agent_whose_beat_stands_still_for_the_lease_time_is_silent() -> None:
    observer = _observer()
    assert _poll(observer, OTHER, 0.0, 2.5) == []
    assert observer.note([OTHER], 3.0) == [OTHER]


def test_a_beat_that_moves_starts_the_time_anew() -> None:
    observer = _observer()
    _poll(observer, OTHER, 0.0, 2.5)
    moved = replace(OTHER, beat=6)
    assert observer.note([moved], 3.0) == []
    assert _poll(observer, moved, 3.5, 5.5) == []
    assert observer.note([moved], 6.0) == [moved]


def test_a_gap_in_ones_own_polls_proves_nothing_against_others() -> None:
    observer = _observer()
    _poll(observer, OTHER, 0.0, 2.5)
    assert observer.note([OTHER], 60.0) == []
    assert _poll(observer, OTHER, 60.5, 62.5) == []
    assert observer.note([OTHER], 63.0) == [OTHER]


def test_a_dead_process_of_the_same_boot_is_silent_at_once() -> None:
    neighbour = replace(OTHER, boot="my boot")
    assert _observer(alive=False).note([neighbour], 0.0) == [neighbour]
    assert _observer(alive=True).note([neighbour], 0.0) == []


def test_a_dead_agent_of_the_same_boot_is_silent_only_without_its_workers() -> None:
    neighbour = replace(OTHER, boot="my boot")
    are_gone = iter([False, False, True])
    observer = Observer(
        boot="my boot",
        lease_seconds=30.0,
        max_gap_seconds=15.0,
        exists=lambda pid: False,
        end_workers=lambda agent_id: next(are_gone),
    )
    assert observer.note([neighbour], 0.0) == []
    assert observer.note([neighbour], 0.5) == []
    assert observer.note([neighbour], 1.0) == [neighbour]


def test_pids_of_another_boot_say_nothing() -> None:
    assert _observer(alive=False).note([OTHER], 0.0) == []


def test_an_agent_that_left_and_came_back_is_observed_anew() -> None:
    observer = _observer()
    _poll(observer, OTHER, 0.0, 2.0)
    observer.note([], 2.5)
    assert observer.note([OTHER], 3.0) == []
