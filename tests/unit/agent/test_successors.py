"""The next trial of a function: it is claimed while the process of the last one ends."""

import pytest

from tests.unit.agent.machines import WORKER, Bench, claimed_trial, of_type
from tuner.agent import acts, events
from tuner.agent.rules import places
from tuner.agent.state import Phase, WorkerState
from tuner.messages import Left, Ready
from tuner.study.agents import Desired
from tuner.study.lease import ClaimedTrial, Release
from tuner.study.verdict import Outcome

SECOND = WORKER + 10
GOOD = [(Outcome.COMPLETE, 0.5), (Outcome.PRUNED, None)]


def _bench(**rules: object) -> tuple[Bench, ClaimedTrial]:
    """A machine whose worker trains its only trial."""
    bench = Bench(is_single_use=True, max_lanes=1, **rules)  # type: ignore[arg-type]
    return bench, bench.training(0)


def _replaced(bench: Bench, pid: int = WORKER) -> list[acts.Act]:
    """The process has ended, and the next one is ready."""
    (replaced,) = of_type(bench.gone(0, worker=pid), acts.ReplaceWorker)
    assert replaced.worker == pid
    bench.machine.workers[SECOND] = WorkerState(name="cpu:0")
    return bench.say(Ready(n_free=1, n_taken=0), worker=SECOND)


@pytest.mark.parametrize(("how", "value"), GOOD)
def test_a_good_end_claims_one_trial_which_starts_in_the_next_process(
    how: Outcome, value: float | None
) -> None:
    bench, trial = _bench()
    (claim,) = of_type(bench.leave(trial, how, value=value), acts.AskClaim)
    assert (claim.limit, claim.n_new) == (1, 1)
    assert not of_type(bench.tick(5.0), acts.AskClaim), "one claim is under way"
    result = bench.claimed(claimed_trial(1))
    assert not of_type(result, acts.Send), "the process that ends gets no trial"
    assert not of_type(result, acts.AskClaim)
    assert bench.machine.lanes[claimed_trial(1).key].phase is Phase.QUEUED
    assert not of_type(bench.tick(5.0), acts.AskClaim), "its place is taken"
    result = _replaced(bench)
    (start,) = of_type(result, acts.Send)
    assert (start.worker, start.message.number) == (SECOND, 1)
    assert not of_type(result, acts.AskClaim)


def test_a_claim_that_is_answered_after_the_process_has_ended_is_no_second_one() -> None:
    bench, trial = _bench()
    assert of_type(bench.leave(trial, Outcome.COMPLETE, value=0.5), acts.AskClaim)
    assert not of_type(_replaced(bench), acts.AskClaim)
    result = bench.claimed(claimed_trial(1))
    assert [act.worker for act in of_type(result, acts.Send)] == [SECOND]
    assert not of_type(bench.tick(5.0), acts.AskClaim)


def test_each_of_two_workers_has_one_successor() -> None:
    bench = Bench(is_single_use=True, max_lanes=1, n_workers=2)
    bench.ready()
    bench.ready(WORKER + 1)
    bench.claimed(claimed_trial(0))
    bench.claimed(claimed_trial(1))
    (claim,) = of_type(bench.leave(claimed_trial(0), Outcome.COMPLETE, value=0.5), acts.AskClaim)
    assert claim.limit == 1
    worker = bench.machine.lanes[claimed_trial(1).key].worker
    assert worker is not None
    left = Left(number=1, attempt=1, how=Outcome.PRUNED)
    assert not of_type(bench.say(left, worker=worker), acts.AskClaim), "the first is under way"
    (second,) = of_type(bench.claimed(claimed_trial(2)), acts.AskClaim)
    assert second.limit == 1
    assert not of_type(bench.claimed(claimed_trial(3)), acts.AskClaim)


@pytest.mark.parametrize(
    "how",
    [Outcome.EXCEPTION, Outcome.MISTAKE, Outcome.OUT_OF_MEMORY, Outcome.NON_FINITE],
)
def test_after_a_failure_the_claim_waits_for_its_record_and_for_the_next_process(
    how: Outcome,
) -> None:
    """The failure may halt the study, or stop this machine."""
    bench, trial = _bench()
    result = bench.leave(trial, how, message="boom")
    assert not of_type(result, acts.AskClaim)
    ends = bench.ends(result)
    assert not of_type(_replaced(bench), acts.AskClaim)
    assert not of_type(bench.tick(5.0), acts.AskClaim)
    assert of_type(bench.stored(*ends), acts.AskClaim)


def test_a_worker_with_room_for_several_trials_has_no_successor() -> None:
    bench = Bench()
    trial = bench.training(0)
    assert not of_type(bench.leave(trial, Outcome.COMPLETE, value=0.5), acts.AskClaim)


def test_a_trial_that_was_lost_repeatedly_is_waited_for_alone() -> None:
    bench, trial = _bench()
    bench.leave(trial, Outcome.COMPLETE, value=0.5)
    bench.claimed(claimed_trial(9, losses=3, attempt=4))
    assert places.wanted_and_room(bench.machine) == (0, 0)
    assert not of_type(bench.tick(5.0), acts.AskClaim)
    result = _replaced(bench)
    assert [act.message.number for act in of_type(result, acts.Send)] == [9]


def test_a_paused_study_claims_nothing_and_releases_the_trial_that_waits() -> None:
    bench, trial = _bench()
    bench.leave(trial, Outcome.COMPLETE, value=0.5)
    bench.claimed(claimed_trial(1))
    (end,) = bench.ends(bench.pulse(Desired.PAUSED))[-1:]
    assert isinstance(end, Release)
    assert end.key == claimed_trial(1).key
    assert end.failure is None
    bench.stored(end)
    assert not of_type(bench.tick(60.0), acts.AskClaim)


def test_a_study_that_is_paused_before_the_end_claims_nothing() -> None:
    bench, trial = _bench()
    bench.pulse(Desired.PAUSED)
    assert not of_type(bench.leave(trial, Outcome.PRUNED), acts.AskClaim)
    assert not of_type(bench.tick(60.0), acts.AskClaim)


def test_a_signal_releases_the_trial_that_waits_for_its_process() -> None:
    bench, trial = _bench()
    bench.leave(trial, Outcome.COMPLETE, value=0.5)
    bench.claimed(claimed_trial(1))
    result = bench.do(events.StopAsked(signal="SIGTERM"))
    ends = {end.key: end for end in bench.ends(result)}
    assert isinstance(ends[claimed_trial(1).key], Release)
    assert bench.gone(0) is not None
    assert not of_type(bench.tick(1.0), acts.ReplaceWorker | acts.AskClaim)


def test_no_more_trials_are_in_flight_than_a_model_may_miss() -> None:
    bench, trial = _bench(max_in_flight=1)
    (claim,) = of_type(bench.leave(trial, Outcome.COMPLETE, value=0.5), acts.AskClaim)
    assert (claim.limit, claim.n_new) == (1, 1), "the trial that ends is in flight no more"


def test_the_last_trial_of_a_budget_is_followed_by_none() -> None:
    bench, trial = _bench()
    bench.leave(trial, Outcome.COMPLETE, value=0.5)
    result = bench.claimed(n_open=0, limit=True)
    assert not of_type(result, acts.Send | acts.AskClaim)
    result += bench.gone(0) + bench.tick(1.0)
    assert not of_type(result, acts.AskClaim)


def test_the_next_process_is_forked_after_a_trial_has_begun() -> None:
    """The start of the trial and the fork would slow each other."""
    bench = Bench(is_single_use=True, max_lanes=1, spare_seconds=0.5)
    bench.ready()
    assert of_type(bench.claimed(claimed_trial(0)), acts.Send)
    assert bench.machine.next_deadline(bench.machine.now) <= bench.machine.now + 0.5
    assert not of_type(bench.tick(0.4), acts.ForkSpare)
    assert len(of_type(bench.tick(0.2), acts.ForkSpare)) == 1
    assert not of_type(bench.tick(5.0), acts.ForkSpare), "once for each trial"


def test_a_worker_for_many_trials_needs_no_spare() -> None:
    bench = Bench()
    bench.training(0)
    assert not of_type(bench.tick(5.0), acts.ForkSpare)
