"""The agent's rules, event by event."""

import math
import uuid

import pytest

from tests.unit.agent.machines import (
    WORKER,
    Bench,
    a_checkpoint,
    claimed_trial,
    of_type,
    rung_value,
)
from tuner.agent import acts, events, notices
from tuner.agent.state import Phase, WorkerState
from tuner.errors import StoreFails, StudyGone, UsageError
from tuner.messages import Continue, Kept, Left, Reported, Saved, Start, Stop
from tuner.search.pruners.asha import AshaPruner
from tuner.study.agents import AgentBeat
from tuner.study.checkpoint import MAX_STORED_BYTES
from tuner.study.ending import EndingKind
from tuner.study.failure import FailureClass
from tuner.study.lease import ClaimedTrial, Finish, Origin, Release
from tuner.study.schedule import MODEL_RUNGS
from tuner.study.trial import Direction, TrialRecord, TrialState
from tuner.study.verdict import Outcome, Verdict


def test_a_ready_worker_leads_to_one_claim_and_no_second_while_it_is_under_way() -> None:
    bench = Bench(n_workers=2)
    (claim,) = of_type(bench.ready(), acts.AskClaim)
    assert claim.limit == 1
    assert not of_type(bench.ready(WORKER + 1), acts.AskClaim)
    (second,) = of_type(bench.claimed(claimed_trial()), acts.AskClaim)
    assert second.limit == 1
    assert second.known == (claimed_trial().key,)


def test_a_claimed_trial_starts_on_the_free_worker_with_the_steps_of_its_verdicts() -> None:
    bench = Bench()
    bench.ready()
    (send,) = of_type(bench.claimed(claimed_trial(4)), acts.Send)
    assert isinstance(send.message, Start)
    assert (send.worker, send.message.number, send.message.decide_at) == (
        WORKER,
        4,
        ((1, 2, 1), (3, 4, 1), (9, 10, 1)),
    )


def test_a_trial_with_a_checkpoint_starts_only_when_that_lies_in_the_spool() -> None:
    bench = Bench()
    bench.ready()
    trial = claimed_trial(2, attempt=2, origin=Origin.TAKEN_OVER, checkpoint=a_checkpoint(5))
    result = bench.claimed(trial)
    assert of_type(result, acts.AskCheckpoint) == [acts.AskCheckpoint(key=trial.key)]
    assert not of_type(result, acts.Send)
    loaded = events.CheckpointLoaded(key=trial.key, path="/spool/x", step=5)
    (send,) = of_type(bench.do(loaded), acts.Send)
    assert send.message.checkpoint == "/spool/x"


def test_a_machine_that_trusts_no_folders_releases_the_trial_and_ends() -> None:
    bench = Bench()
    bench.ready()
    trial = claimed_trial(2, attempt=2, origin=Origin.TAKEN_OVER, checkpoint=a_checkpoint(5))
    bench.claimed(trial)
    loaded = events.CheckpointLoaded(key=trial.key, path="/spool/x", step=5, is_folder=True)
    result = bench.do(loaded)
    assert not of_type(result, acts.Send)
    (end,) = _end(bench, result)
    assert isinstance(end, Release)
    assert end.failure is None
    answer = events.EndsWritten(ends=(end,), lost=frozenset())
    result = bench.do(answer)
    assert acts.RemoveFile(path="/spool/x") in result
    (leave,) = of_type(result, acts.Leave)
    assert isinstance(leave.ending.error, UsageError)
    assert "trial 2 continues from a folder" in str(leave.ending.error)
    assert "add `checkpoints: {folders: trusted}`" in str(leave.ending.error)


def _saves(bench: Bench, trial: ClaimedTrial, step: int, n_bytes: int = 9) -> list[acts.Act]:
    message = Saved(
        number=trial.key.number,
        attempt=trial.key.attempt,
        step=step,
        path=f"/spool/{step}",
        sha256=str(step),
        n_bytes=n_bytes,
    )
    return bench.say(message)


def _uploads(result: list[acts.Act]) -> list[int]:
    return [act.saved.step for act in of_type(result, acts.AskUpload)]


def _batches(bench: Bench) -> list[int]:
    """The steps of the checkpoints of the next batch, which is answered."""
    writes = of_type(bench.tick(0.3), acts.AskWrite)
    for write in writes:
        bench.do(events.BatchWritten(batch=write.batch, lost=frozenset()))
    return [saved.step for write in writes for saved in write.batch.checkpoints]


def test_a_checkpoint_for_a_store_is_uploaded_and_then_registered() -> None:
    bench = Bench(has_object_store=True)
    trial = bench.training()
    (ask,) = of_type(_saves(bench, trial, 1), acts.AskUpload)
    assert _batches(bench) == []
    bench.do(events.Uploaded(saved=ask.saved, is_stored=True))
    assert _batches(bench) == [1]
    assert _batches(bench) == []


def test_uploads_of_a_trial_follow_each_other_and_skip_what_is_superseded() -> None:
    bench = Bench(has_object_store=True)
    trial = bench.training()
    (first,) = of_type(_saves(bench, trial, 1), acts.AskUpload)
    assert not of_type(_saves(bench, trial, 2), acts.AskUpload | acts.RemoveFile)
    assert of_type(_saves(bench, trial, 3), acts.RemoveFile) == [acts.RemoveFile(path="/spool/2")]
    result = bench.do(events.Uploaded(saved=first.saved, is_stored=True))
    assert _uploads(result) == [3]
    assert _batches(bench) == [1]
    (third,) = of_type(result, acts.AskUpload)
    bench.do(events.Uploaded(saved=third.saved, is_stored=True))
    assert not of_type(_saves(bench, trial, 4), acts.RemoveFile), "3 is about to be registered"
    assert _batches(bench) == [3]


def test_files_that_a_newer_checkpoint_replaces_leave_the_spool() -> None:
    bench = Bench(has_object_store=True)
    trial = bench.training()
    (first,) = of_type(_saves(bench, trial, 1), acts.AskUpload)
    bench.do(events.Uploaded(saved=first.saved, is_stored=True))
    (second,) = of_type(_saves(bench, trial, 2), acts.AskUpload)  # before 1 is registered
    result = bench.do(events.Uploaded(saved=second.saved, is_stored=True))
    assert of_type(result, acts.RemoveFile) == [acts.RemoveFile(path="/spool/1")]
    assert _batches(bench) == [2]
    (third,) = of_type(_saves(bench, trial, 3), acts.AskUpload)
    _saves(bench, trial, 4)
    result = bench.do(events.Uploaded(saved=third.saved, is_stored=False, error="no answer"))
    assert of_type(result, acts.RemoveFile) == [acts.RemoveFile(path="/spool/3")]
    assert _uploads(result) == [4]


def test_a_store_that_fails_is_told_once_until_it_works_again() -> None:
    bench = Bench(has_object_store=True)
    trial = bench.training()
    told = []
    for step, error in ((1, ""), (2, "no answer"), (3, "no answer"), (4, ""), (5, "no answer")):
        (ask,) = of_type(_saves(bench, trial, step), acts.AskUpload)
        answer = events.Uploaded(saved=ask.saved, is_stored=not error, error=error)
        told += [say.notice for say in of_type(bench.do(answer), acts.Say)]
        _batches(bench)
    assert told == [
        notices.CheckpointTrouble(number=0, step=step, reason="no answer", kept_step=kept)
        for step, kept in ((2, 1), (5, 4))
    ]


def test_a_release_takes_the_newest_checkpoint_although_it_is_not_uploaded() -> None:
    bench = Bench(has_object_store=True)
    trial = bench.training()
    _saves(bench, trial, 1)
    _saves(bench, trial, 2)
    (end,) = _end(bench, bench.leave(trial, Outcome.RELEASED))
    assert isinstance(end, Release)
    assert end.checkpoint is not None
    assert end.checkpoint.step == 2


def test_a_state_too_large_for_the_database_names_the_setting() -> None:
    bench = Bench()
    trial = bench.training()
    _saves(bench, trial, 1)
    assert _batches(bench) == [1]
    result = _saves(bench, trial, 2, n_bytes=MAX_STORED_BYTES + 1)
    assert of_type(result, acts.RemoveFile) == [acts.RemoveFile(path="/spool/2")]
    (say,) = of_type(result, acts.Say)
    assert "add `checkpoints: {store: ...}` to the study file" in say.notice.sentence
    assert "that of step 1 stays" in say.notice.sentence
    assert _batches(bench) == []
    elsewhere = Bench(has_object_store=True)
    again = elsewhere.training()
    assert _uploads(_saves(elsewhere, again, 2, n_bytes=MAX_STORED_BYTES + 1)) == [2]


def test_a_checkpoint_that_cannot_be_loaded_here_ends_the_agent() -> None:
    bench = Bench()
    bench.ready()
    trial = claimed_trial(2, attempt=2, origin=Origin.TAKEN_OVER, checkpoint=a_checkpoint(5))
    bench.claimed(trial)
    error = StoreFails("no answer")
    loaded = events.CheckpointLoaded(key=trial.key, path=None, step=0, error=error)
    (end,) = _end(bench, bench.do(loaded))
    assert isinstance(end, Release)
    (leave,) = of_type(bench.do(events.EndsWritten(ends=(end,), lost=frozenset())), acts.Leave)
    assert leave.ending.error is error


def test_the_verdict_is_given_in_the_answer_to_the_report_without_the_database() -> None:
    bench = Bench()
    trial = bench.training()
    result = bench.report(trial, 1, 0.5)
    assert of_type(result, acts.Send) == [
        acts.Send(worker=WORKER, message=Continue(number=0, attempt=1, step=1))
    ]
    assert not of_type(result, acts.AskWrite)


def test_a_trial_that_others_beat_is_pruned_and_the_record_says_what_was_known() -> None:
    bench = Bench()
    trial = bench.training(9)
    bench.feed(rung_value(1, 1, 0.1), rung_value(1, 2, 0.2))
    result = bench.report(trial, 1, 0.5)
    assert of_type(result, acts.Send)[0].message == Stop(number=9, attempt=1, verdict=Verdict.PRUNE)
    (end,) = _end(bench, bench.leave(trial, Outcome.PRUNED))
    assert isinstance(end, Finish)
    assert (end.state, end.value) == (TrialState.PRUNED, 0.5)
    assert end.reason == "rung 1: rank 3 of 3, keeps 1"
    (record,) = end.decisions
    assert record.decision.action is Verdict.PRUNE
    assert (record.snapshot, record.local, record.step) == ("7:9:8", (9,), 1)


def test_a_value_that_the_feed_has_brought_is_no_longer_local() -> None:
    bench = Bench()
    trial = bench.training(9)
    bench.report(trial, 1, 0.5)
    assert bench.machine.local_rungs == {(1, 9, False)}
    bench.feed(rung_value(1, 9, 0.5))
    assert bench.machine.local_rungs == set()


def test_reports_wait_for_the_clock_and_then_go_in_one_batch() -> None:
    bench = Bench()
    trial = bench.training()
    for step in (1, 2):
        assert not of_type(bench.report(trial, step, 0.5), acts.AskWrite)
    assert not of_type(bench.tick(0.1), acts.AskWrite)
    (write,) = of_type(bench.tick(0.11), acts.AskWrite)
    assert [report.step for report in write.batch.reports] == [1, 2]
    assert [report.rungs for report in write.batch.reports] == [(1,), ()]
    assert [decision.step for decision in write.batch.decisions] == [1]


def test_no_second_write_starts_while_one_is_under_way() -> None:
    bench = Bench()
    trial = bench.training()
    bench.report(trial, 1, 0.5)
    (write,) = of_type(bench.tick(0.3), acts.AskWrite)
    bench.report(trial, 2, 0.5)
    assert not of_type(bench.tick(0.3), acts.AskWrite)
    answer = events.BatchWritten(batch=write.batch, lost=frozenset())
    (second,) = of_type(bench.do(answer), acts.AskWrite)
    assert [report.step for report in second.batch.reports] == [2]


def test_the_claim_goes_before_the_end_that_freed_the_worker() -> None:
    bench = Bench()
    trial = bench.training()
    assert not of_type(bench.leave(trial, Outcome.COMPLETE, value=0.25), acts.AskEnd)
    result = bench.ready()
    kinds = [type(act) for act in result if isinstance(act, acts.AskClaim | acts.AskEnd)]
    assert kinds == [acts.AskClaim, acts.AskEnd]
    assert of_type(result, acts.AskClaim)[0].known == (trial.key,), "its end is under way"


def test_an_end_does_not_wait_for_a_worker_that_never_says_it_is_free() -> None:
    bench = Bench()
    trial = bench.training()
    bench.leave(trial, Outcome.COMPLETE, value=0.25)
    (end,) = of_type(bench.tick(0.003), acts.AskEnd)
    assert end.ends[0].state is TrialState.COMPLETE


def test_a_finish_carries_all_reports_of_the_attempt_again() -> None:
    bench = Bench()
    trial = bench.training()
    bench.report(trial, 1, 0.5)
    bench.tick(0.3)
    bench.report(trial, 2, 0.4)
    (end,) = _end(bench, bench.leave(trial, Outcome.COMPLETE, value=0.4, facts={"best_step": 2}))
    assert [report.step for report in end.reports] == [1, 2]
    assert end.user_attrs == {"best_step": 2}


def test_a_sampler_of_rungs_has_values_at_once_and_the_record_has_them_too() -> None:
    pruner = AshaPruner(direction=Direction.MINIMIZE, min_resource=2, reduction_factor=3)
    bench = Bench(pruner=pruner, model_rungs=MODEL_RUNGS)
    trial = bench.training(4)
    learned = [
        [(rung.step, rung.value) for act in of_type(result, acts.Learn) for rung in act.rungs]
        for result in (bench.report(trial, step, 1 / step) for step in (1, 2, 3, 5, 10))
    ]
    assert learned[:2] == [[(1, 1.0)], []]
    assert learned[4][-1] == (9, 0.1), "the first report at or after the rung"
    assert bench.machine.local_rungs == {(2, 4, False), (6, 4, False)}, "what the pruner compares"
    (write,) = of_type(bench.tick(0.3), acts.AskWrite)
    rungs = [report.rungs for report in write.batch.reports]
    assert rungs == [(1,), (2,), (3,), (), (6, 9)]
    assert [decision.step for decision in write.batch.decisions] == [2, 10]


def test_a_sampler_of_rungs_hears_of_the_earlier_values_of_a_trial_that_goes_on() -> None:
    bench = Bench(model_rungs=MODEL_RUNGS)
    bench.ready()
    trial = claimed_trial(4, attempt=2, history={1: 0.9, 2: 0.8, 3: 0.7, 4: 0.6})
    (learn,) = of_type(bench.claimed(trial), acts.Learn)
    assert {rung.step: rung.value for rung in learn.rungs} == {1: 0.9, 3: 0.7}


def test_the_sampler_hears_of_claims_and_ends_before_the_database_tells() -> None:
    bench = Bench()
    bench.ready()
    (running,) = of_type(bench.claimed(claimed_trial(3)), acts.Learn)[0].records
    assert (running.number, running.state) == (3, TrialState.RUNNING)
    (ended,) = of_type(bench.leave(claimed_trial(3), Outcome.COMPLETE, value=0.2), acts.Learn)[
        0
    ].records
    assert (ended.number, ended.state, ended.value) == (3, TrialState.COMPLETE, 0.2)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_fails_the_trial_at_once(value: float) -> None:
    bench = Bench()
    trial = bench.training()
    result = bench.report(trial, 2, value)
    assert of_type(result, acts.Send)[0].message == Stop(number=0, attempt=1, verdict=Verdict.DROP)
    (end,) = _end(bench, result)
    assert isinstance(end, Finish)
    assert end.state is TrialState.FAIL
    assert end.reason == f"val_loss is {value} at step 2"
    assert end.failure is not None
    assert end.failure.cause is FailureClass.NON_FINITE


def test_a_returned_value_that_is_not_finite_never_completes_a_trial() -> None:
    bench = Bench()
    trial = bench.training()
    (end,) = _end(bench, bench.leave(trial, Outcome.COMPLETE, value=math.inf))
    assert isinstance(end, Finish)
    assert end.state is TrialState.FAIL


def test_an_exception_is_tried_again_until_the_tries_are_used_up() -> None:
    first = _failed(Bench(retries=1), failures=0)
    assert isinstance(first, Release)
    assert (first.reason, first.failure.is_loss) == ("ValueError: no", False)
    last = _failed(Bench(retries=1), failures=1)
    assert isinstance(last, Finish)
    assert last.reason == "ValueError: no (quarantined: failed 2 times)"


def _failed(bench: Bench, failures: int) -> Finish | Release:
    trial = bench.training(failures=failures)
    (end,) = _end(bench, bench.leave(trial, Outcome.EXCEPTION, message="ValueError: no"))
    return end


@pytest.mark.parametrize(
    ("exit_code", "cause", "is_loss"),
    [
        (3, FailureClass.EXIT, False),
        (0, FailureClass.EXIT, False),
        (-11, FailureClass.CRASH, True),
        (-6, FailureClass.CRASH, True),
        (-9, FailureClass.KILLED, True),
        (-15, FailureClass.KILLED, True),
        (-42, FailureClass.KILLED, True),
    ],
)
def test_a_worker_that_ends_is_replaced_and_its_exit_code_tells_the_cause(
    exit_code: int, cause: FailureClass, is_loss: bool
) -> None:
    bench = Bench()
    bench.training()
    gone = events.WorkerGone(worker=WORKER, exit_code=exit_code, tail="last words")
    result = bench.do(gone)
    assert of_type(result, acts.ReplaceWorker) == [acts.ReplaceWorker(worker=WORKER)]
    (end,) = _end(bench, result)
    assert isinstance(end, Release)
    assert end.failure is not None
    assert (end.failure.cause, end.failure.is_loss) == (cause, is_loss)
    assert end.failure.log_tail == "last words"


def test_the_fifth_loss_ends_a_trial() -> None:
    bench = Bench()
    bench.training(losses=4)
    result = bench.do(events.WorkerGone(worker=WORKER, exit_code=-11, tail=""))
    (end,) = _end(bench, result)
    assert isinstance(end, Finish)
    assert end.reason is not None
    assert end.reason.endswith("(quarantined: lost 5 times)")


def test_workers_that_never_get_ready_end_the_agent_with_their_last_line() -> None:
    bench = Bench()
    log_tail = "some lines\nImportError: torch"
    for worker in (WORKER, WORKER + 1):
        gone = events.WorkerGone(worker=worker, exit_code=1, tail=log_tail)
        assert of_type(bench.do(gone), acts.ReplaceWorker)
        bench.machine.workers[worker + 1] = WorkerState(name="cpu:0")
    gone = events.WorkerGone(worker=WORKER + 2, exit_code=1, tail=log_tail)
    (leave,) = of_type(bench.do(gone), acts.Leave)
    assert leave.ending.kind is EndingKind.FAILED
    assert "ImportError: torch" in str(leave.ending.error)


def test_a_lost_trial_is_dropped_and_its_messages_are_ignored_from_then_on() -> None:
    bench = Bench()
    trial = bench.training()
    bench.report(trial, 1, 0.5)
    (write,) = of_type(bench.tick(0.3), acts.AskWrite)
    result = bench.do(events.BatchWritten(batch=write.batch, lost=frozenset({trial.key})))
    assert of_type(result, acts.Send)[0].message == Stop(number=0, attempt=1, verdict=Verdict.DROP)
    assert notices.AttemptLost(key=trial.key) in [act.notice for act in of_type(result, acts.Say)]
    assert bench.machine.lanes == {}
    assert not of_type(bench.report(trial, 2, 0.1), acts.AskWrite)
    bench.leave(trial, Outcome.DROPPED)
    assert of_type(bench.ready(), acts.AskClaim), "it goes on working"


def test_a_write_that_crosses_the_end_of_its_trial_does_not_count_as_a_loss() -> None:
    bench = Bench()
    trial = bench.training()
    bench.report(trial, 1, 0.5)
    (write,) = of_type(bench.tick(0.3), acts.AskWrite)
    bench.leave(trial, Outcome.COMPLETE, value=0.5)
    result = bench.do(events.BatchWritten(batch=write.batch, lost=frozenset({trial.key})))
    assert not of_type(result, acts.Say)
    assert bench.machine.lanes[trial.key].phase is Phase.ENDING


def test_the_newest_checkpoint_is_registered_with_the_next_batch_and_then_removed() -> None:
    bench = Bench()
    trial = bench.training()
    bench.report(trial, 1, 0.5)
    saved = Saved(number=0, attempt=1, step=1, path="/spool/a", sha256="0", n_bytes=1)
    bench.say(saved)
    (write,) = of_type(bench.tick(0.3), acts.AskWrite)
    assert [file.path for file in write.batch.checkpoints] == ["/spool/a"]
    result = bench.do(events.BatchWritten(batch=write.batch, lost=frozenset()))
    assert of_type(result, acts.RemoveFile) == [acts.RemoveFile(path="/spool/a")]


def test_the_weights_of_a_complete_trial_go_with_its_end_and_are_then_removed() -> None:
    bench = Bench()
    trial = bench.training()
    kept = Kept(number=0, attempt=1, step=3, path="/spool/w", sha256="0", n_bytes=1)
    assert bench.say(kept) == []
    (end,) = bench.ends(bench.leave(trial, Outcome.COMPLETE, value=0.5))
    assert isinstance(end, Finish)
    assert end.weights is not None
    assert (end.weights.key, end.weights.path, end.weights.step) == (trial.key, "/spool/w", 3)
    assert acts.RemoveFile(path="/spool/w") in of_type(bench.stored(end), acts.RemoveFile)


def test_the_weights_of_a_trial_that_is_lost_are_removed_as_well() -> None:
    bench = Bench()
    trial = bench.training()
    bench.say(Kept(number=0, attempt=1, step=3, path="/spool/w", sha256="0", n_bytes=1))
    (end,) = bench.ends(bench.leave(trial, Outcome.COMPLETE, value=0.5))
    result = bench.stored(end, lost=frozenset({trial.key}))
    assert acts.RemoveFile(path="/spool/w") in of_type(result, acts.RemoveFile)


def test_a_signal_releases_every_lane_and_the_agent_leaves_when_all_is_written() -> None:
    bench = Bench()
    trial = bench.training()
    result = bench.do(events.StopAsked(signal="SIGTERM"))
    assert of_type(result, acts.Send)[0].message == Stop(
        number=0, attempt=1, verdict=Verdict.RELEASE
    )
    assert not of_type(result, acts.Leave)
    saved = Saved(number=0, attempt=1, step=3, path="/spool/b", sha256="0", n_bytes=1)
    bench.say(saved)
    (end,) = _end(bench, bench.leave(trial, Outcome.RELEASED))
    assert isinstance(end, Release)
    assert end.failure is None
    assert end.checkpoint is not None
    assert end.checkpoint.path == "/spool/b"
    result = bench.do(events.EndsWritten(ends=(end,), lost=frozenset()))
    assert of_type(result, acts.Leave)[0].ending.kind is EndingKind.TERMINATED


def test_after_a_signal_nothing_more_is_claimed() -> None:
    bench = Bench()
    bench.ready()
    bench.do(events.StopAsked(signal="SIGINT"))
    result = bench.claimed(claimed_trial(5))  # this claim was under way
    (end,) = of_type(result, acts.AskEnd)[0].ends
    assert isinstance(end, Release)
    assert not of_type(result, acts.Send)
    assert not of_type(result, acts.AskClaim)


def test_a_worker_that_does_not_let_go_is_killed_before_the_grace_is_over() -> None:
    bench = Bench()
    bench.training()
    bench.do(events.StopAsked(signal="SIGINT"))
    assert not of_type(bench.tick(19.9), acts.KillWorker)
    result = bench.tick(0.2)
    assert of_type(result, acts.KillWorker) == [acts.KillWorker(worker=WORKER)]
    assert isinstance(of_type(result, acts.AskEnd)[0].ends[0], Release)


def test_a_second_signal_kills_at_once() -> None:
    bench = Bench()
    bench.training()
    bench.do(events.StopAsked(signal="SIGINT"))
    result = bench.do(events.StopAsked(signal="SIGINT"))
    assert of_type(result, acts.KillWorker)
    (leave,) = of_type(bench.tick(2.1), acts.Leave)
    assert leave.ending.kind is EndingKind.INTERRUPTED


def test_a_worker_that_reports_no_objective_fails_its_trial() -> None:
    bench = Bench()
    bench.training()
    result = bench.say(Reported(number=0, attempt=1, step=1, values={"train_loss": 1.0}))
    assert of_type(result, acts.Send)[0].message == Stop(number=0, attempt=1, verdict=Verdict.DROP)
    (end,) = _end(bench, result)
    assert end.reason == "no val_loss was reported at step 1"


def test_an_objective_may_prune_its_trial_by_itself() -> None:
    bench = Bench()
    trial = bench.training()
    bench.report(trial, 2, 0.5)
    (end,) = _end(bench, bench.leave(trial, Outcome.PRUNED))
    assert (end.state, end.value) == (TrialState.PRUNED, 0.5)
    assert end.reason == "pruned by its objective"


def test_the_reason_says_that_the_objective_swallowed_its_end() -> None:
    for how, reason in (
        (Outcome.PRUNED, "pruned by its objective"),
        (Outcome.RELEASED, "released"),
    ):
        bench = Bench()
        trial = bench.training()
        bench.report(trial, 2, 0.5)
        (end,) = _end(bench, bench.leave(trial, how, message="it swallowed the verdict"))
        assert end.reason == f"{reason}; it swallowed the verdict"


def test_checkpoints_that_are_superseded_before_they_were_posted_are_removed() -> None:
    bench = Bench()
    trial = bench.training()
    bench.report(trial, 1, 0.5)
    bench.tick(0.3)  # a write is under way, and stays so
    removed = []
    for step in (2, 3, 4):
        saved = Saved(number=0, attempt=1, step=step, path=f"/s/{step}", sha256="", n_bytes=1)
        removed += of_type(bench.say(saved), acts.RemoveFile)
    assert [act.path for act in removed] == ["/s/2", "/s/3"]


def test_the_agent_leaves_at_the_end_of_the_grace_although_the_database_is_away() -> None:
    bench = Bench()
    bench.training()
    bench.do(events.StopAsked(signal="SIGTERM"))
    bench.tick(20.1)
    assert of_type(bench.tick(5), acts.Leave)


def test_the_study_is_over_when_nothing_is_left_to_claim_anywhere() -> None:
    bench = Bench()
    bench.ready()
    (leave,) = of_type(bench.claimed(n_open=0, limit=True), acts.Leave)
    assert leave.ending.kind is EndingKind.FINISHED


def test_an_end_that_a_claim_hears_of_counts_before_the_beats_are_back() -> None:
    bench = Bench()
    bench.ready()
    bench.do(events.StoreAway(message="gone", helper="beats"))
    assert of_type(bench.claimed(n_open=0, limit=True), acts.Leave)
    assert bench.machine.database.away_since is None, "else the agent believes that it is cut off"


def test_an_idle_agent_waits_for_the_others_says_so_once_and_asks_again() -> None:
    bench = Bench()
    bench.ready()
    first = bench.claimed(n_open=2, limit=True)
    assert notices.WaitingForOthers(n_open=2) in [act.notice for act in of_type(first, acts.Say)]
    assert not of_type(first, acts.AskClaim), "not in a tight loop"
    assert of_type(bench.tick(1.0), acts.AskClaim)
    again = bench.claimed(n_open=2, limit=True)
    assert notices.WaitingForOthers(n_open=2) not in [a.notice for a in of_type(again, acts.Say)]


def test_an_answer_that_is_older_than_the_end_here_is_no_wait_for_others() -> None:
    bench = Bench()
    bench.ready()
    trial = bench.training()
    result = bench.leave(trial, Outcome.COMPLETE, value=0.5)
    result += [*bench.ready(), *bench.tick(1.0)]
    (claim,) = of_type(result, acts.AskClaim)
    assert claim.known == (trial.key,), "the trial is still held here, and counts as open"
    bench.stored(*bench.ends(result))
    assert not bench.machine.lanes
    late = bench.claimed(n_open=1, limit=True)
    assert notices.WaitingForOthers(n_open=1) not in [a.notice for a in of_type(late, acts.Say)]
    assert of_type(bench.tick(1.0), acts.AskClaim)
    fresh = bench.claimed(n_open=1, limit=True)
    assert notices.WaitingForOthers(n_open=1) in [a.notice for a in of_type(fresh, acts.Say)]


def test_nothing_is_claimed_before_the_first_look_at_the_other_agents() -> None:
    """Or new trials would be drawn while lost ones of this machine wait."""
    bench = Bench()
    bench.machine.fleet.has_pulse = False
    assert of_type(bench.ready(), acts.AskClaim) == []
    assert of_type(bench.tick(60), acts.AskClaim) == []
    lost = AgentBeat(agent_id=uuid.uuid4(), beat=3, host="here", boot="mine", pid=7)
    (asked,) = of_type(bench.pulse(silent=(lost,)), acts.AskClaim)
    assert asked.silent == (lost,)


def test_silent_agents_are_handed_in_at_once_by_an_idle_machine() -> None:
    bench = Bench()
    bench.ready()
    bench.claimed(n_open=2, limit=True)
    silent = AgentBeat(agent_id=uuid.uuid4(), beat=3, host="h", boot="b", pid=1)
    (claim,) = of_type(bench.pulse(silent=[silent]), acts.AskClaim)
    assert claim.silent == (silent,)


def test_an_outage_is_told_once_and_its_end_too() -> None:
    bench = Bench()
    first = of_type(bench.do(events.StoreAway(message="gone")), acts.Say)
    assert [type(act.notice) for act in first] == [notices.DatabaseLost]
    assert not of_type(bench.do(events.StoreAway(message="gone")), acts.Say)
    bench.now += 5
    (back,) = of_type(bench.do(events.StoreBack()), acts.Say)
    assert back.notice == notices.DatabaseBack(away_seconds=5.0)


def test_a_helper_that_cannot_go_on_ends_the_agent_with_its_error() -> None:
    error = StudyGone("deleted")
    (leave,) = of_type(Bench().do(events.HelperFailed(error=error)), acts.Leave)
    assert leave.ending.error is error


def test_the_best_trial_is_the_lowest_value_and_ties_go_to_the_lower_number() -> None:
    bench = Bench()
    standing = bench.machine.standing
    assert standing.note_value(5, 0.3)
    assert not standing.note_value(7, 0.3)
    assert standing.note_value(2, 0.3)
    assert standing.note_value(2, 0.3), "heard of twice: from its worker and by the feed"
    assert not standing.note_value(9, 0.4)
    assert (standing.best_number, standing.best_value) == (2, 0.3)


def test_the_tally_counts_what_the_feed_told_of_all_machines() -> None:
    bench = Bench()
    records = tuple(
        TrialRecord(
            number=number, state=state, params={}, value=value, last_step=None, last_value=None
        )
        for number, (state, value) in enumerate(
            [(TrialState.COMPLETE, 0.5), (TrialState.PRUNED, None), (TrialState.RUNNING, None)]
        )
    )
    bench.feed(trials=records)
    tally = bench.machine.tally()
    assert (tally.n_complete, tally.n_pruned, tally.n_failed) == (1, 1, 0)
    assert (tally.best_number, tally.best_value) == (0, 0.5)


def test_the_tally_tells_how_far_the_trials_of_this_machine_are() -> None:
    bench = Bench()
    trial = bench.training(3)
    bench.report(trial, 1, 0.5)
    (running,) = bench.machine.tally().in_training
    assert (running.number, running.step, running.value) == (3, 1, 0.5)


def test_a_refused_trial_is_given_to_a_worker_again_under_the_same_attempt() -> None:
    bench = Bench()
    trial = bench.training()
    bench.leave(trial, Outcome.REFUSED)
    (send,) = of_type(bench.ready(), acts.Send)
    assert (send.message.number, send.message.attempt) == (trial.key.number, 1)


def _end(bench: Bench, result: list[acts.Act]) -> tuple[Finish | Release, ...]:
    """The ends that are on their way, now or a little later."""
    asked = of_type(result, acts.AskEnd) or of_type(bench.tick(0.01), acts.AskEnd)
    return asked[0].ends


def test_a_worker_cannot_speak_for_the_lane_of_another() -> None:
    bench = Bench(n_workers=2)
    bench.training()
    forged = Left(number=0, attempt=1, how=Outcome.COMPLETE, value=0.0)
    assert bench.ends(bench.say(forged, worker=WORKER + 1)) == ()
