"""Budgets beyond the number of trials: the study's clock, device time, epochs and targets."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.conftest import NewStudy
from tests.integration.invariants import Aside
from tests.integration.stores import StoreAgent, StoredStudy, raised, report
from tuner.study.agents import Desired, Pulse, Telemetry
from tuner.study.lease import Batch, Claimed, Finish, Origin, Release
from tuner.study.trial import Direction, TrialState
from tuner.study_file.model import Budget

NEARLY = 1.5  # seconds that a test itself may take on a busy machine


class Time:
    """The agents' clock and the study's, moved together."""

    def __init__(self, study: StoredStudy) -> None:
        self.study = study
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def passes(self, seconds: float) -> None:
        """For agents and database alike."""
        self.now += seconds
        self.study.query(
            "update tuner.clock set ticked_at = ticked_at - make_interval(secs => %s)", seconds
        )

    def total(self) -> float:
        """What the study's clock shows."""
        ((seconds,),) = self.study.query("select seconds from tuner.clock")
        return float(seconds)


@pytest.fixture
def time_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[StoredStudy], Time]:
    """Takes over the clock by which agents of a study vouch."""

    def take_over(study: StoredStudy) -> Time:
        time = Time(study)
        monkeypatch.setattr("tuner.storage.work.store.monotonic", time)
        return time

    return take_over


TimeOf = Callable[[StoredStudy], Time]


def _beat(agent: StoreAgent, busy: float = 0.0) -> Pulse:
    return agent.store.beat(Telemetry(seconds_lived=1.0, device_seconds_busy=busy))


def _want(study: StoredStudy, desired: str, reason: str = "by anna") -> None:
    study.query("update tuner.study set desired = %s, desired_reason = %s", desired, reason)


def _limit_events(study: StoredStudy) -> list[Any]:
    return [d for (d,) in study.query("select detail from tuner.event where kind='limit_reached'")]


def test_two_agents_do_not_count_the_same_seconds_twice(
    study: StoredStudy, time_of: TimeOf
) -> None:
    time = time_of(study)
    one, other = study.agent(), study.agent()
    for _ in range(5):
        time.passes(2)
        _beat(one)
        time.passes(2)
        _beat(other)
    assert time.total() == pytest.approx(20, abs=NEARLY)


def test_a_beat_waits_for_nobody_who_moves_the_clock(study: StoredStudy, time_of: TimeOf) -> None:
    time = time_of(study)
    agent = study.agent()
    time.passes(5)
    with study.held_open("select from tuner.clock for update"):
        assert _beat(agent).desired is Desired.RUNNING
        assert time.total() == 0
    _beat(agent)
    assert time.total() < NEARLY, "who held the clock has counted that time"


def test_a_pause_does_not_count(study: StoredStudy, time_of: TimeOf) -> None:
    time = time_of(study)
    agent = study.agent()
    time.passes(10)
    _beat(agent)
    _want(study, "paused")
    for _ in range(3):
        time.passes(100)
        assert _beat(agent).desired is Desired.PAUSED
    _want(study, "running")
    time.passes(2)
    _beat(agent)
    assert time.total() == pytest.approx(12, abs=NEARLY)


def test_an_outage_that_an_agent_lived_through_counts(study: StoredStudy, time_of: TimeOf) -> None:
    time = time_of(study)
    agent = study.agent()
    time.passes(2)
    _beat(agent)
    time.passes(3600)  # no beat reached the database
    _beat(agent)
    assert time.total() == pytest.approx(3602, abs=NEARLY)


def test_a_time_in_which_nobody_lived_does_not_count(study: StoredStudy, time_of: TimeOf) -> None:
    time = time_of(study)
    agent = study.agent()
    time.passes(2)
    _beat(agent)
    time.passes(3600)  # the agent was gone
    heir = study.agent()
    time.passes(3)
    _beat(heir)
    assert time.total() == pytest.approx(5, abs=NEARLY)


def test_the_beat_at_which_the_time_is_used_up_stops_the_study_once(
    new_study: NewStudy, time_of: TimeOf
) -> None:
    study = new_study(budget=Budget(trials=10, time_seconds=60.0))
    time = time_of(study)
    one, other = study.agent(), study.agent()
    time.passes(50)
    early = _beat(one)
    assert early.desired is Desired.RUNNING
    assert early.seconds_left == pytest.approx(10, abs=NEARLY)
    time.passes(11)
    last = _beat(one)
    reason = "the budget's time of 1m is used up"
    assert (last.desired, last.reason) == (Desired.STOPPING, reason)
    assert _beat(other).desired is Desired.STOPPING
    time.passes(11)
    assert _beat(one).reason == reason
    assert _limit_events(study) == [reason]


def test_a_limit_that_is_reached_in_a_pause_waits_for_its_end(
    new_study: NewStudy, time_of: TimeOf
) -> None:
    study = new_study(budget=Budget(trials=10, time_seconds=60.0))
    time = time_of(study)
    agent = study.agent()
    study.query("update tuner.clock set seconds = 70")
    _want(study, "paused")
    time.passes(1)
    assert _beat(agent).desired is Desired.PAUSED
    _want(study, "running")
    assert _beat(agent).desired is Desired.STOPPING


def test_a_stop_that_comes_just_before_the_limit_keeps_its_reason(new_study: NewStudy) -> None:
    study = new_study(budget=Budget(trials=10, time_seconds=60.0))
    agent = study.agent()
    study.query("update tuner.clock set seconds = 70")
    stop = "update tuner.study set desired = 'stopping', desired_reason = 'by anna'"
    with study.held_open(stop) as other:
        beat = Aside(lambda: _beat(agent))  # it still reads "running", and waits to stop the study
        assert beat.still_waits()
        other.commit()
    beat.result()
    assert _beat(agent).desired is Desired.STOPPING
    assert study.query("select desired_reason from tuner.study") == [("by anna",)]
    assert _limit_events(study) == []


def test_a_limit_that_is_extended_just_before_it_is_reached_stops_nothing(
    new_study: NewStudy,
) -> None:
    study = new_study(budget=Budget(trials=10, time_seconds=60.0))
    agent = study.agent()
    study.query("update tuner.clock set seconds = 70")
    with study.held_open("update tuner.study set limit_seconds = 600") as other:
        beat = Aside(lambda: _beat(agent))  # it still reads 60 s
        assert beat.still_waits()
        other.commit()
    assert beat.result().desired is Desired.RUNNING
    assert study.query("select desired from tuner.study") == [("running",)]


def test_device_hours_are_summed_over_the_agents(new_study: NewStudy) -> None:
    study = new_study(budget=Budget(trials=10, gpu_seconds=3600.0))
    one, other = study.agent(), study.agent()
    assert _beat(one, busy=2000).desired is Desired.RUNNING
    assert _beat(other, busy=1500).desired is Desired.RUNNING
    last = _beat(one, busy=2100)
    assert (last.desired, last.reason) == (
        Desired.STOPPING,
        "the budget of 1 h of device time is used up",
    )
    _beat(other, busy=1600)
    assert len(_limit_events(study)) == 1


def _epochs(new_study: NewStudy, epochs: int, trials: int | None = None) -> StoredStudy:
    return new_study(budget=Budget(trials=trials, epochs=epochs))


def _train(agent: StoreAgent, steps: range, **about: Any) -> None:
    trial = agent.claim_one(known=[])
    agent.store.report(Batch(reports=[report(trial, step, 0.5) for step in steps]))
    agent.finish(trial, reports=[report(trial, step, 0.5) for step in steps], **about)


def test_no_trial_starts_once_the_epochs_are_trained(new_study: NewStudy) -> None:
    study = _epochs(new_study, 5)
    agent = study.agent()
    _train(agent, range(1, 4), last_step=3)
    trial = agent.claim_one()
    agent.store.report(Batch(reports=[report(trial, 1, 0.5)]))
    assert [t.origin for t in study.agent().claim(1)] == [Origin.NEW], "4 of 5"
    agent.store.report(Batch(reports=[report(trial, 2, 0.5)]))
    answer = study.agent().ask(3)
    assert (list(answer.trials), answer.limit_reached, answer.n_open) == ([], True, 2)
    assert study.query("select desired from tuner.study") == [("running",)], "those may finish"
    agent.store.report(Batch(reports=[report(trial, 3, 0.5)]))
    assert agent.finish(trial) == frozenset()


def test_repeated_steps_count_once(new_study: NewStudy) -> None:
    study = _epochs(new_study, 5)
    agent = study.agent()
    trial = agent.claim_one()
    agent.store.report(Batch(reports=[report(trial, step, 0.5) for step in (1, 2, 3)]))
    agent.store.end([Release(key=trial.key, reason="released")])
    again = agent.claim_one()
    agent.store.report(Batch(reports=[report(again, step, 0.4) for step in (1, 2, 3, 4)]))
    assert len(agent.claim(1, known=[again.key])) == 1, "4 of 5, and not 7"


def test_the_steps_of_failed_and_pruned_trials_were_trained_as_well(new_study: NewStudy) -> None:
    study = _epochs(new_study, 6)
    agent = study.agent()
    _train(agent, range(1, 4), state=TrialState.FAIL, reason="ValueError", failure=raised())
    _train(agent, range(1, 3), state=TrialState.PRUNED, reason="rung 2", last_step=2)
    assert study.query("select n_steps from tuner.lease order by number") == [(3,), (2,)]
    _train(agent, range(1, 2), last_step=1)
    assert agent.ask(1).limit_reached


@pytest.mark.parametrize(
    ("direction", "short", "reached"),
    [(Direction.MINIMIZE, 0.16, 0.15), (Direction.MAXIMIZE, 0.14, 0.15)],
)
def test_a_complete_value_that_reaches_the_target_stops_the_study(
    new_study: NewStudy, direction: Direction, short: float, reached: float
) -> None:
    study = new_study(direction=direction, budget=Budget(trials=10, target=0.15))
    agent = study.agent()
    agent.finish(agent.claim_one(), value=short)
    assert _beat(agent).desired is Desired.RUNNING
    agent.finish(agent.claim_one(), TrialState.PRUNED, value=reached, reason="rung 1")
    assert _beat(agent).desired is Desired.RUNNING, "a COMPLETE one is asked for"
    agent.finish(agent.claim_one(), value=reached)
    pulse = _beat(agent)
    reason = "the target 0.15 is reached by trial 2 (0.15)"
    assert (pulse.desired, pulse.reason) == (Desired.STOPPING, reason)
    assert _limit_events(study) == [reason]
    answer = agent.ask(1)
    assert (list(answer.trials), answer.n_open, answer.reason) == ([], 0, reason)


def test_two_trials_that_reach_the_target_stop_the_study_once(new_study: NewStudy) -> None:
    study = new_study(budget=Budget(trials=10, target=0.15))
    agent = study.agent()
    trials = agent.claim(2)
    ends = [Finish(key=t.key, state=TrialState.COMPLETE, value=0.1) for t in trials]
    assert agent.store.end(ends) == frozenset()
    late = study.agent()
    assert late.claim(1) == []
    assert len(_limit_events(study)) == 1


def test_a_better_value_after_the_target_was_reached_changes_no_reason(
    new_study: NewStudy,
) -> None:
    study = new_study(budget=Budget(trials=10, target=0.15))
    agent = study.agent()
    first, second = agent.claim(2)
    agent.finish(first, value=0.1)
    agent.finish(second, value=0.05)
    assert _limit_events(study) == ["the target 0.15 is reached by trial 0 (0.1)"]


def test_a_value_of_an_agent_that_had_lost_the_trial_reaches_no_target(
    new_study: NewStudy,
) -> None:
    study = new_study(budget=Budget(trials=10, target=0.15))
    busy, other = study.agent(), study.agent()
    trial = busy.claim_one()
    assert len(other.claim(1, silent=[other.sees(busy)])) == 1
    assert busy.finish(trial, value=0.1) == {trial.key}
    assert _beat(other).desired is Desired.RUNNING


def _ask_stopped(agent: StoreAgent, **more: Any) -> Claimed:
    return agent.ask(1, **more)


def test_free_trials_of_a_stopping_study_end_pruned_with_their_last_value(
    study: StoredStudy,
) -> None:
    agent = study.agent()
    with_value, without = agent.claim(2)
    agent.store.report(Batch(reports=[report(with_value, s, v) for s, v in [(1, 0.9), (2, 0.7)]]))
    for trial in (with_value, without):
        agent.store.end([Release(key=trial.key, reason="released")])
    _want(study, "stopping")
    answer = _ask_stopped(study.agent())
    assert (list(answer.trials), answer.n_open, answer.limit_reached) == ([], 0, True)
    assert answer.reason == "by anna"
    first, second = study.optuna().get_trials()
    assert (first.state.name, first.value) == ("PRUNED", 0.7)
    assert first.user_attrs["reason"] == "stopped: by anna"
    assert (second.state.name, second.value) == ("PRUNED", None)
    assert first.datetime_complete is not None
    assert study.lease(0, "state, n_steps, reason") == ("done", 2, "stopped: by anna")
    assert study.query("select 1 from tuner.checkpoint") == []


def test_a_silent_agents_trial_ends_and_its_late_words_are_refused(study: StoredStudy) -> None:
    zombie, other = study.agent(), study.agent()
    trial = zombie.claim_one()
    zombie.store.report(Batch(reports=[report(trial, 1, 0.9)]))
    seen = other.sees(zombie)
    _want(study, "stopping")
    assert _ask_stopped(other).n_open == 1, "it may still beat"
    assert _ask_stopped(other, silent=[seen]).n_open == 0
    assert zombie.store.report(Batch(reports=[report(trial, 2, 0.1)])) == {trial.key}
    late = zombie.finish(trial, value=0.1, reports=[report(trial, 2, 0.1)])
    assert late == {trial.key}, "it must not believe that this counts"
    (ended,) = study.optuna().get_trials()
    assert (ended.state.name, ended.value) == ("PRUNED", 0.9)
    assert study.values(0) == {1: 0.9}


def test_a_beat_since_it_was_seen_keeps_a_trial_from_being_closed(study: StoredStudy) -> None:
    busy, other = study.agent(), study.agent()
    busy.claim_one()
    seen = other.sees(busy)
    busy.beat()
    _want(study, "stopping")
    assert _ask_stopped(other, silent=[seen]).n_open == 1
    assert study.states() == ["RUNNING"]


def test_a_pruned_end_without_a_value_takes_the_last_report_of_the_record(
    study: StoredStudy,
) -> None:
    agent = study.agent()
    trial = agent.claim_one()
    agent.store.report(Batch(reports=[report(trial, s, v) for s, v in [(1, 0.9), (2, 0.7)]]))
    agent.store.end([Release(key=trial.key, reason="released")])
    again = agent.claim_one()  # it has no checkpoint, and ends before it has begun
    agent.finish(again, TrialState.PRUNED, None, reason="stopped: by anna")
    (ended,) = study.optuna().get_trials()
    assert (ended.state.name, ended.value, study.values(0)) == ("PRUNED", 0.7, {1: 0.9, 2: 0.7})


def test_a_paused_study_gives_nothing_out_but_to_who_has_it_already(study: StoredStudy) -> None:
    agent, other = study.agent(), study.agent()
    mine, free = agent.claim(2)
    agent.store.end([Release(key=free.key, reason="released")])
    seen = other.sees(agent)
    study.optuna().enqueue_trial({"n_layers": 1})
    _want(study, "paused")
    assert list(other.ask(3, silent=[seen]).trials) == []
    (adopted,) = agent.claim(3, known=[])
    assert (adopted.key, adopted.origin) == (mine.key, Origin.ADOPTED)
    _want(study, "running")
    assert [t.origin for t in other.claim(3, known=[])] == [
        Origin.RELEASED,
        Origin.WAITING,
        Origin.NEW,
    ]
