"""What people want of a study while it runs: to pause, to go on, to stop."""

import pytest

from tests.unit.agent.machines import WORKER, Bench, a_checkpoint, claimed_trial, of_type
from tuner.agent import acts, events, notices
from tuner.agent.state import WorkerState
from tuner.messages import Saved, Stop
from tuner.study.agents import Desired
from tuner.study.ending import EndingKind
from tuner.study.lease import Claimed, Finish, Origin, Release
from tuner.study.trial import TrialState
from tuner.study.verdict import Outcome, Verdict


def _sent(result: list[acts.Act]) -> list[object]:
    return [act.message for act in of_type(result, acts.Send)]


def _said(result: list[acts.Act]) -> list[notices.Notice]:
    return [act.notice for act in of_type(result, acts.Say)]


def test_a_pause_releases_every_lane_and_says_why() -> None:
    bench = Bench()
    bench.training()
    result = bench.pulse(Desired.PAUSED, reason="by anna")
    assert _sent(result) == [Stop(number=0, attempt=1, verdict=Verdict.RELEASE)]
    assert notices.StudyPaused(reason="by anna") in _said(result)
    assert not of_type(result, acts.RestWorkers), "its worker still saves"
    again = bench.pulse(Desired.PAUSED, reason="by anna")
    assert (_sent(again), _said(again)) == ([], [])


def test_a_paused_machine_releases_with_the_checkpoint_and_then_lets_its_workers_go() -> None:
    bench = Bench()
    trial = bench.training()
    bench.report(trial, 2, 0.5)
    bench.pulse(Desired.PAUSED, reason="by anna")
    bench.say(Saved(number=0, attempt=1, step=2, path="/spool/a", sha256="0", n_bytes=1))
    left = bench.leave(trial, Outcome.RELEASED)
    assert of_type(left, acts.RestWorkers)
    (end,) = bench.ends(left)
    assert isinstance(end, Release)
    assert (end.reason, end.failure) == ("paused: by anna", None)
    assert end.checkpoint is not None
    assert bench.machine.workers == {}
    assert not of_type(bench.tick(5), acts.RestWorkers), "once"


def test_a_paused_machine_claims_nothing_however_long_it_waits() -> None:
    bench = Bench(n_workers=2)
    bench.ready()
    bench.claimed()  # nothing there
    bench.pulse(Desired.PAUSED)
    for _ in range(5):
        assert not of_type(bench.tick(1.0), acts.AskClaim)


def test_what_a_claim_brings_after_the_pause_is_released_untouched() -> None:
    bench = Bench()
    bench.ready()
    bench.pulse(Desired.PAUSED, reason="by anna")
    result = bench.claimed(claimed_trial(3), n_open=1)
    assert _sent(result) == []
    (end,) = bench.ends(result)
    assert isinstance(end, Release)
    assert (end.key.number, end.reason, end.seconds) == (3, "paused: by anna", 0.0)


def test_a_resume_wakes_the_workers_and_work_goes_on() -> None:
    bench = Bench()
    bench.ready()
    bench.claimed()
    rested = bench.pulse(Desired.PAUSED)
    assert of_type(rested, acts.RestWorkers)
    woken = bench.pulse(Desired.RUNNING)
    assert of_type(woken, acts.WakeWorkers)
    assert notices.StudyResumed() in _said(woken)
    bench.machine.workers[WORKER] = WorkerState(name="cpu:0")
    assert of_type(bench.ready(), acts.AskClaim)


def test_a_worker_that_ends_after_the_rest_is_replaced_then() -> None:
    bench = Bench()
    bench.ready()
    bench.claimed()
    bench.pulse(Desired.PAUSED)
    assert not of_type(bench.gone(-9), acts.ReplaceWorker)
    bench.pulse(Desired.RUNNING)
    assert of_type(bench.gone(-9), acts.ReplaceWorker)


def test_a_resume_before_the_last_worker_had_left_wakes_nobody() -> None:
    bench = Bench(n_workers=2)
    trial = bench.training()
    bench.pulse(Desired.PAUSED)
    resumed = bench.pulse(Desired.RUNNING)
    assert not of_type(resumed, acts.WakeWorkers)
    (end,) = bench.ends(bench.leave(trial, Outcome.RELEASED))
    assert isinstance(end, Release), "it was told to leave"


def test_a_worker_that_dies_as_the_last_one_of_a_paused_study_is_not_replaced() -> None:
    bench = Bench()
    bench.training()
    bench.pulse(Desired.PAUSED)
    result = bench.gone(-11)
    assert of_type(result, acts.RestWorkers)
    assert not of_type(result, acts.ReplaceWorker), "it would run through the pause"
    assert bench.machine.workers == {}


def test_a_worker_that_dies_in_a_pause_while_others_still_save_is_replaced() -> None:
    bench = Bench(n_workers=2)
    bench.training(0)
    bench.ready(WORKER + 1)
    bench.claimed(claimed_trial(1))
    bench.pulse(Desired.PAUSED)
    assert of_type(bench.gone(-11), acts.ReplaceWorker), "a resume may come before all have left"


def test_a_worker_that_does_not_leave_a_paused_study_is_killed_at_the_grace() -> None:
    bench = Bench()  # a grace of 25 s
    bench.training()
    bench.pulse(Desired.PAUSED)
    assert not of_type(bench.tick(19.9), acts.KillWorker)
    result = bench.tick(0.2)
    assert of_type(result, acts.KillWorker) == [acts.KillWorker(worker=WORKER)]
    (end,) = bench.ends(result)
    assert isinstance(end, Release)
    assert of_type(result, acts.RestWorkers)


def test_the_device_time_of_a_released_attempt_is_told() -> None:
    bench = Bench()
    trial = bench.training()
    bench.tick(30)
    bench.pulse(Desired.PAUSED)
    (end,) = bench.ends(bench.leave(trial, Outcome.RELEASED))
    assert (end.seconds, end.device) == (30.0, "cpu:0")


def test_a_stop_prunes_every_lane_with_its_reason() -> None:
    bench = Bench()
    trial = bench.training()
    bench.report(trial, 2, 0.5)
    result = bench.pulse(Desired.STOPPING, reason="the target 0.6 is reached")
    assert _sent(result) == [Stop(number=0, attempt=1, verdict=Verdict.PRUNE)]
    assert notices.StudyStopping(reason="the target 0.6 is reached") in _said(result)
    (end,) = bench.ends(bench.leave(trial, Outcome.PRUNED))
    assert isinstance(end, Finish)
    assert (end.state, end.value, end.last_step) == (TrialState.PRUNED, 0.5, 2)
    assert end.reason == "stopped: the target 0.6 is reached"


def test_a_trial_that_completes_before_it_hears_of_the_stop_is_complete() -> None:
    bench = Bench()
    trial = bench.training()
    bench.pulse(Desired.STOPPING)
    (end,) = bench.ends(bench.leave(trial, Outcome.COMPLETE, value=0.5))
    assert end.state is TrialState.COMPLETE


def test_a_trial_that_the_pruner_had_stopped_keeps_that_reason() -> None:
    from tests.unit.agent.machines import rung_value

    bench = Bench()
    trial = bench.training(9)
    bench.feed(rung_value(1, 1, 0.1), rung_value(1, 2, 0.2))
    bench.report(trial, 1, 0.5)
    result = bench.pulse(Desired.STOPPING, reason="by anna")
    assert _sent(result) == []
    (end,) = bench.ends(bench.leave(trial, Outcome.PRUNED))
    assert end.reason == "rung 1: rank 3 of 3, keeps 1"


@pytest.mark.parametrize(("history", "value"), [({}, None), ({1: 0.7, 2: 0.6}, 0.6)])
def test_a_queued_trial_of_a_stopping_study_ends_at_once_with_its_last_value_if_any(
    history: dict[int, float], value: float | None
) -> None:
    bench = Bench()
    bench.ready()
    bench.pulse(Desired.STOPPING, reason="by anna")
    result = bench.claimed(claimed_trial(3, attempt=2, history=history))
    assert _sent(result) == []
    (end,) = bench.ends(result)
    assert isinstance(end, Finish)
    assert (end.state, end.value, end.reason) == (TrialState.PRUNED, value, "stopped: by anna")


def test_a_trial_whose_checkpoint_was_on_its_way_keeps_the_steps_before_it() -> None:
    bench = Bench()
    bench.ready()
    trial = claimed_trial(
        3, attempt=2, origin=Origin.RELEASED, checkpoint=a_checkpoint(2), history={1: 0.7, 2: 0.6}
    )
    bench.claimed(trial)
    (end,) = bench.ends(bench.pulse(Desired.STOPPING))
    assert (end.value, end.last_step) == (0.6, 2), "later steps are removed from the record"


def test_a_trial_that_never_began_again_loses_no_reported_step() -> None:
    bench = Bench()
    bench.ready()
    bench.pulse(Desired.STOPPING)
    (end,) = bench.ends(bench.claimed(claimed_trial(3, attempt=2)))
    assert end.last_step is None, "0 would remove what the attempt before reported"


def test_a_worker_that_does_not_leave_a_stopping_study_is_killed_at_the_grace() -> None:
    bench = Bench()
    trial = bench.training()
    bench.report(trial, 4, 0.3)
    bench.pulse(Desired.STOPPING, reason="by anna")
    assert not of_type(bench.tick(19.9), acts.KillWorker)
    result = bench.tick(0.2)
    assert of_type(result, acts.KillWorker) == [acts.KillWorker(worker=WORKER)]
    (end,) = bench.ends(result)
    assert (end.state, end.value, end.reason) == (TrialState.PRUNED, 0.3, "stopped: by anna")


def test_the_agent_of_a_stopped_study_leaves_when_nothing_is_open_anywhere() -> None:
    bench = Bench()
    trial = bench.training()
    bench.pulse(Desired.STOPPING, reason="by anna")
    result = bench.leave(trial, Outcome.PRUNED)
    assert not of_type(result, acts.Leave)
    stored = bench.stored(*bench.ends(result))
    (claim,) = of_type(stored, acts.AskClaim)
    assert claim.known == ()
    waiting = _stopping_answer(bench, n_open=1)
    assert not of_type(waiting, acts.Leave)
    assert notices.WaitingForOthers(n_open=1) in _said(waiting)
    assert of_type(bench.tick(1.0), acts.AskClaim)
    (leave,) = of_type(_stopping_answer(bench, n_open=0), acts.Leave)
    assert leave.ending.kind is EndingKind.FINISHED
    assert leave.ending.reason == "by anna"


def _stopping_answer(bench: Bench, n_open: int) -> list[acts.Act]:
    answer = Claimed(trials=(), n_open=n_open, limit_reached=True, reason="by anna")
    return bench.do(events.ClaimAnswered(claimed=answer))


def test_the_silent_agents_are_handed_in_with_the_claim_of_a_stopping_study() -> None:
    import uuid

    from tuner.study.agents import AgentBeat

    bench = Bench()
    silent = AgentBeat(agent_id=uuid.uuid4(), beat=3, host="h", boot="b", pid=1)
    (claim,) = of_type(bench.pulse(Desired.STOPPING, silent=[silent]), acts.AskClaim)
    assert claim.silent == (silent,)


def test_a_stop_in_a_pause_turns_the_release_into_the_end() -> None:
    bench = Bench()
    trial = bench.training()
    bench.report(trial, 1, 0.5)
    bench.pulse(Desired.PAUSED)
    result = bench.pulse(Desired.STOPPING, reason="by anna")
    assert _sent(result) == [Stop(number=0, attempt=1, verdict=Verdict.PRUNE)]
    (end,) = bench.ends(bench.leave(trial, Outcome.PRUNED))
    assert (end.state, end.reason) == (TrialState.PRUNED, "stopped: by anna")


def test_a_stop_of_a_resting_machine_needs_no_workers() -> None:
    bench = Bench()
    bench.ready()
    bench.claimed()
    bench.pulse(Desired.PAUSED)
    result = bench.pulse(Desired.STOPPING, reason="by anna")
    assert of_type(result, acts.AskClaim)
    assert not of_type(result, acts.WakeWorkers)
    assert of_type(_stopping_answer(bench, n_open=0), acts.Leave)


def test_a_signal_in_a_pause_lets_a_resting_agent_leave_at_once() -> None:
    bench = Bench()
    bench.ready()
    bench.claimed()
    bench.pulse(Desired.PAUSED)
    (leave,) = of_type(bench.do(events.StopAsked(signal="SIGTERM")), acts.Leave)
    assert leave.ending.kind is EndingKind.TERMINATED


def test_a_signal_while_the_workers_of_a_pause_still_save_waits_for_them() -> None:
    bench = Bench()
    trial = bench.training()
    bench.pulse(Desired.PAUSED)
    result = bench.do(events.StopAsked(signal="SIGTERM"))
    assert not of_type(result, acts.Leave)
    assert _sent(result) == [], "they know already"
    (end,) = bench.ends(bench.leave(trial, Outcome.RELEASED))
    assert isinstance(end, Release)
    assert of_type(bench.stored(end), acts.Leave)


def test_the_limit_of_the_tally_follows_an_extended_budget() -> None:
    bench = Bench()
    bench.pulse(limit_trials=70)
    assert bench.machine.tally().n_trials == 70
