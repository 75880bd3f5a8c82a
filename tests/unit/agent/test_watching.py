"""Trials that take too long, workers that hang, and what is kept of what they printed."""

import pytest

from tests.unit.agent.machines import WORKER, Bench, claimed_trial, of_type, rung_value
from tuner.agent import acts, events, notices
from tuner.agent.rules.watching import FIRST_STEP_SECONDS, MIN_SECONDS, silence_limit
from tuner.agent.state import Phase
from tuner.messages import NotSaved, Ready, Stop
from tuner.search.pruners.percentile import PercentilePruner
from tuner.study.failure import FailureClass
from tuner.study.lease import Claimed, Finish
from tuner.study.report import RungValue
from tuner.study.trial import Direction, TrialState
from tuner.study.verdict import Outcome, Verdict

DUMPED_SECONDS = 1.1  # after which the stacks are in the log


def test_a_trial_past_its_timeout_fails_with_that_and_is_not_tried_again() -> None:
    bench = Bench(timeout_seconds=60.0)
    trial = bench.training()
    bench.tick(30)
    bench.report(trial, 4, 0.5)
    assert not of_type(bench.tick(29), acts.Send)
    result = bench.tick(1.5)
    (send,) = of_type(result, acts.Send)
    assert send.message == Stop(number=0, attempt=1, verdict=Verdict.DROP)
    (end,) = bench.ends(result)
    assert isinstance(end, Finish)
    assert (end.state, end.reason) == (
        TrialState.FAIL,
        "longer than trial.timeout (1m), at step 4",
    )
    assert end.failure is not None
    assert end.failure.cause is FailureClass.TIMEOUT
    assert end.seconds == 60.5


def test_the_seconds_of_earlier_attempts_count_towards_the_timeout() -> None:
    bench = Bench(timeout_seconds=60.0)
    bench.training(attempt=2, seconds=50.0)
    assert not of_type(bench.tick(9.9), acts.AskEnd)
    assert bench.ends(bench.tick(0.2))


def test_a_worker_that_hangs_is_found_although_it_was_given_more_trials_since() -> None:
    bench = Bench()
    bench.say(Ready(n_free=4, n_taken=0))
    old = claimed_trial(0)
    bench.claimed(old)
    bench.report(old, 1, 0.5)
    bench.tick(5.0)
    bench.report(old, 2, 0.4)
    bench.say(Ready(n_free=3, n_taken=1))
    # it hangs now, and does not say that it has received another one
    new = Claimed(trials=(claimed_trial(1),), n_open=2, limit_reached=False)
    bench.do(events.ClaimAnswered(claimed=new))
    assert len(bench.machine.lanes_of(WORKER)) == 2
    assert not of_type(bench.tick(MIN_SECONDS - 1), acts.DumpStacks)
    assert of_type(bench.tick(2.0), acts.DumpStacks)


def test_the_wait_in_the_queue_does_not_count_towards_the_timeout() -> None:
    bench = Bench(timeout_seconds=60.0)
    bench.ready()
    bench.claimed(claimed_trial(0), claimed_trial(1))
    bench.tick(59)
    assert [lane.key.number for lane in bench.machine.lanes.values() if lane.started_at == 0] == [1]
    bench.tick(2)
    queued = [lane for lane in bench.machine.lanes.values() if lane.key.number == 1]
    assert queued[0].seconds(bench.now) == 0


def test_a_worker_that_does_not_drop_a_trial_is_killed_and_replaced() -> None:
    bench = Bench(timeout_seconds=60.0)
    bench.training()
    bench.ends(bench.tick(61))
    assert not of_type(bench.tick(9.5), acts.DumpStacks)
    result = bench.tick(0.6)
    assert of_type(result, acts.DumpStacks) == [acts.DumpStacks(worker=WORKER)]
    assert not of_type(result, acts.KillWorker), "its stacks reach the log first"
    killed = bench.tick(DUMPED_SECONDS)
    assert of_type(killed, acts.KillWorker) == [acts.KillWorker(worker=WORKER)]
    assert not of_type(bench.tick(5), acts.KillWorker), "once"
    assert of_type(bench.gone(-9), acts.ReplaceWorker)


def test_a_worker_that_leaves_what_it_was_told_to_drop_lives_on() -> None:
    bench = Bench(timeout_seconds=60.0)
    trial = bench.training()
    bench.ends(bench.tick(61))
    bench.leave(trial, Outcome.DROPPED)
    bench.ready()
    assert not of_type(bench.tick(30), acts.DumpStacks)


def test_a_worker_that_does_not_let_go_of_a_lost_trial_is_killed() -> None:
    bench = Bench()
    trial = bench.training()
    bench.report(trial, 1, 0.5)
    (write,) = of_type(bench.tick(0.3), acts.AskWrite)
    bench.do(events.BatchWritten(batch=write.batch, lost=frozenset({trial.key})))
    assert not of_type(bench.tick(9.5), acts.DumpStacks)
    assert of_type(bench.tick(1), acts.DumpStacks), "else its device is lost for good"


def test_a_worker_that_trains_on_after_its_trial_has_failed_is_killed() -> None:
    bench = Bench()
    trial = bench.training()
    bench.ends(bench.report(trial, 1, float("nan")))
    assert not of_type(bench.tick(9.5), acts.DumpStacks)
    assert of_type(bench.tick(1), acts.DumpStacks)


def test_before_its_first_report_a_trial_has_half_a_day_whatever_others_needed() -> None:
    bench = Bench()
    first = bench.training(0)
    for step in (1, 2):
        bench.tick(1)
        bench.report(first, step, 0.5)
    bench.leave(first, Outcome.COMPLETE, value=0.5)
    bench.training(1)
    bench.ready()
    (lane,) = bench.machine.in_phase(Phase.TRAINING)
    assert silence_limit(bench.machine, lane) == FIRST_STEP_SECONDS == 12 * 3600
    assert not of_type(bench.tick(12 * 3600 - 1), acts.DumpStacks)
    assert of_type(bench.tick(1.5), acts.DumpStacks)


@pytest.mark.parametrize(("step_seconds", "limit"), [(2.0, MIN_SECONDS), (100.0, 1000.0)])
def test_silence_is_ten_times_the_longest_step_and_at_least_five_minutes(
    step_seconds: float, limit: float
) -> None:
    bench = Bench()
    trial = bench.training()
    # The first report contains the start: loading of data, for instance.
    for step, seconds in enumerate([9000.0, step_seconds, step_seconds / 3], start=1):
        bench.tick(seconds)
        bench.report(trial, step, 0.5)
    (lane,) = bench.machine.in_phase(Phase.TRAINING)
    assert silence_limit(bench.machine, lane) == pytest.approx(limit)
    assert not of_type(bench.tick(limit - 1), acts.DumpStacks)
    assert of_type(bench.tick(1.5), acts.DumpStacks)


def test_a_fixed_silence_of_the_study_file_holds_from_the_start() -> None:
    bench = Bench(silence_seconds=20.0)
    bench.training()
    assert not of_type(bench.tick(19.5), acts.DumpStacks)
    assert of_type(bench.tick(1), acts.DumpStacks)


def test_any_message_is_a_sign_of_progress() -> None:
    bench = Bench(silence_seconds=20.0)
    bench.training()
    bench.tick(19)
    bench.say(NotSaved(number=0, attempt=1, step=1, reason="full disk"))
    assert not of_type(bench.tick(19), acts.DumpStacks)


def test_an_idle_worker_may_be_silent() -> None:
    bench = Bench(silence_seconds=20.0)
    bench.ready()
    assert not of_type(bench.tick(1000), acts.DumpStacks)


def test_a_hang_ends_the_trial_with_its_stacks_and_is_not_tried_again() -> None:
    bench = Bench(silence_seconds=20.0)
    bench.training()
    result = bench.tick(21)
    (died,) = [a.notice for a in of_type(result, acts.Say) if type(a.notice) is notices.WorkerDied]
    assert died.how == "no sign of progress for 20s; killed, its stacks are in the log"
    assert not of_type(result, acts.AskEnd), "its stacks are to reach the log"
    assert of_type(bench.tick(DUMPED_SECONDS), acts.KillWorker)
    gone = bench.gone(-9, tail="Thread 0x1\n  File train.py, line 3")
    (end,) = bench.ends(gone)
    assert isinstance(end, Finish)
    assert end.failure is not None
    assert end.failure.cause is FailureClass.SILENCE
    assert "train.py, line 3" in end.failure.log_tail
    assert of_type(gone, acts.ReplaceWorker)


def _median() -> PercentilePruner:
    return PercentilePruner(
        direction=Direction.MINIMIZE,
        percentile=50.0,
        n_startup_trials=2,
        n_warmup_steps=0,
        interval_steps=1,
        n_min_trials=1,
    )


def test_a_complete_trial_sends_its_curve_and_final_value_for_those_that_compare_with_it() -> None:
    bench = Bench(pruner=_median())
    trial = bench.training(4)
    for step, value in [(1, 0.9), (2, 0.4), (3, 0.5)]:
        bench.report(trial, step, value)
    assert bench.machine.curves.at(1, complete=True) == (), "it may still be pruned"
    (end,) = bench.ends(bench.leave(trial, Outcome.COMPLETE, value=0.4))
    assert list(end.rungs) == [
        RungValue(step=step, number=4, value=value, place=4, is_complete=True)
        for step, value in [(0, 0.4), (1, 0.9), (2, 0.4), (3, 0.5)]
    ]
    assert bench.machine.curves.at(0, complete=True) == (), "it may be refused"
    bench.stored(end)
    assert list(bench.machine.curves.at(0, complete=True)) == [0.4]
    assert list(bench.machine.curves.at(1, complete=True)) == [0.9]


def test_the_curve_of_a_resumed_trial_holds_the_steps_before_its_checkpoint() -> None:
    bench = Bench(pruner=_median())
    trial = bench.training(4, attempt=2, history={1: 0.9, 2: 0.8})
    lane = bench.machine.lanes[trial.key]
    lane.from_step = 2
    bench.report(trial, 3, 0.5)
    (end,) = bench.ends(bench.leave(trial, Outcome.COMPLETE, value=0.5))
    assert {rung.step: rung.value for rung in end.rungs} == {0: 0.5, 1: 0.9, 2: 0.8, 3: 0.5}


def test_the_curve_of_a_trial_that_was_lost_before_its_end_counts_nowhere() -> None:
    bench = Bench(pruner=_median())
    trial = bench.training(4)
    bench.report(trial, 1, 0.9)
    (end,) = bench.ends(bench.leave(trial, Outcome.COMPLETE, value=0.9))
    bench.stored(end, lost=frozenset({trial.key}))
    assert bench.machine.curves.at(0, complete=True) == ()


def test_pruned_trials_and_pruners_that_compare_running_ones_send_no_curve() -> None:
    bench = Bench(pruner=_median())
    trial = bench.training(4)
    bench.report(trial, 1, 0.9)
    (pruned,) = bench.ends(bench.leave(trial, Outcome.PRUNED))
    assert pruned.rungs == ()
    halving = Bench()
    trial = halving.training(4)
    halving.report(trial, 1, 0.9)
    (complete,) = halving.ends(halving.leave(trial, Outcome.COMPLETE, value=0.9))
    assert list(complete.rungs) == []


def test_a_decision_names_the_complete_trials_that_only_this_machine_knew() -> None:
    bench = Bench(pruner=_median(), n_workers=2)
    for number in (0, 1):
        trial = bench.training(number)
        bench.report(trial, 1, 0.1)
        bench.stored(*bench.ends(bench.leave(trial, Outcome.COMPLETE, value=0.1)))
    bench.feed(*[_complete(step, 0, 0.1) for step in (0, 1)])
    trial = bench.training(5)
    bench.report(trial, 1, 0.5)
    (end,) = bench.ends(bench.leave(trial, Outcome.PRUNED))
    (record,) = end.decisions
    assert record.local_complete == (1,)
    assert record.local == ()
    assert end.reason == "step 1: best 0.5 is worse than the median 0.1 of 2 trials"


def _complete(step: int, number: int, value: float) -> RungValue:
    known = rung_value(step, number, value)
    return RungValue(step=step, number=number, value=value, place=known.place, is_complete=True)


def test_what_a_trial_prints_is_posted_once() -> None:
    bench = Bench()
    trial = bench.training()
    first = bench.printed("epoch 1\n")
    (write,) = of_type(first, acts.AskWrite) or of_type(bench.tick(0.3), acts.AskWrite)
    (log,) = write.batch.printed
    assert (log.key, log.tail, log.n_bytes) == (trial.key, "epoch 1\n", 8)
    bench.do(events.BatchWritten(batch=write.batch, lost=frozenset()))
    assert not of_type(bench.tick(5), acts.AskWrite)
    bench.report(trial, 1, 0.5)
    (second,) = of_type(bench.tick(0.3), acts.AskWrite)
    assert second.batch.printed == [], "nothing new was printed"
    bench.do(events.BatchWritten(batch=second.batch, lost=frozenset()))
    grown = bench.printed("epoch 1\nepoch 2\n")
    (third,) = of_type(grown, acts.AskWrite) or of_type(bench.tick(0.3), acts.AskWrite)
    assert third.batch.printed[0].n_bytes == 16


def test_the_end_brings_the_whole_log_with_what_was_printed_last() -> None:
    bench = Bench()
    trial = bench.training()
    bench.printed("epoch 1\n")
    result = bench.say(
        _left(trial.key.number, Outcome.COMPLETE, value=0.5), tail="epoch 1\nthe end\n"
    )
    (end,) = bench.ends(result)
    assert end.printed is not None
    assert (end.printed.tail, end.printed.n_bytes) == ("epoch 1\nthe end\n", 16)


def test_the_log_of_a_failed_attempt_shows_its_last_fifty_lines_and_keeps_all() -> None:
    bench = Bench()
    bench.training()
    lines = "".join(f"line {n}\n" for n in range(80))
    (end,) = bench.ends(bench.say(_left(0, Outcome.MISTAKE, message="no"), tail=lines))
    assert end.failure is not None
    assert end.failure.log_tail.splitlines()[0] == "line 30"
    assert end.printed is not None
    assert end.printed.tail == lines


def test_a_worker_without_a_trial_may_print_and_nobody_is_told() -> None:
    bench = Bench()
    bench.ready()
    bench.claimed()
    assert not of_type(bench.printed("loading\n"), acts.AskWrite)
    assert not of_type(bench.tick(0.3), acts.AskWrite)


def _left(number: int, how: Outcome, **about: object) -> object:
    from tuner.messages import Left

    return Left(number=number, attempt=1, how=how, **about)  # type: ignore[arg-type]
