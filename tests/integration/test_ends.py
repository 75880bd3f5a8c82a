"""The ends of attempts: finished, failed, lost, released."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from optuna.trial import TrialState as OptunaState

from tests.integration.stores import StoredStudy, raised, report
from tuner.study.decision import Decision, DecisionRecord
from tuner.study.failure import Failure, FailureClass
from tuner.study.feed import Seen
from tuner.study.lease import Batch, End, Finish, Release
from tuner.study.trial import TrialState
from tuner.study.verdict import Verdict

NewStudy = Callable[..., StoredStudy]
HOSTILE = "NUL \0, lone surrogate \udcff, bell \a, percent %s %(x)s, quote ' \\ and 漢字 🎈"
COUNTERS = "state, attempt, failures, losses, failed_by"


def test_an_end_brings_all_reports_of_the_attempt_again(study: StoredStudy) -> None:
    agent = study.agent()
    trial = agent.claim_one()
    agent.store.report(Batch(reports=[report(trial, 1, 0.9)]))
    everything = [report(trial, step, 1.0 - step / 10, accuracy=0.5) for step in (1, 2, 3)]
    agent.finish(trial, value=0.7, reports=everything, user_attrs={"best_step": 3, "n": "x"})
    (frozen,) = study.optuna().get_trials()
    assert frozen.intermediate_values == {1: 0.9, 2: 0.8, 3: 0.7}
    assert (frozen.state.name, frozen.value) == ("COMPLETE", 0.7)
    assert frozen.user_attrs == {"best_step": 3, "n": "x"}
    assert study.query("select count(*) from tuner.metric") == [(3,)]
    assert study.lease(0, "state, owner::text") == ("done", str(agent.id))


def test_a_pruned_trial_keeps_its_last_value_and_its_reason(study: StoredStudy) -> None:
    agent = study.agent()
    trial = agent.claim_one()
    decision = DecisionRecord(
        key=trial.key,
        step=1,
        decision=Decision(action=Verdict.PRUNE, reason="rung 1: rank 4 of 4, keeps 1"),
        snapshot="1:1:",
        local=(),
    )
    agent.finish(
        trial,
        TrialState.PRUNED,
        0.9,
        reason="rung 1: rank 4 of 4, keeps 1",
        reports=[report(trial, 1, 0.9)],
        decisions=[decision],
    )
    (frozen,) = study.optuna().get_trials()
    assert (frozen.state.name, frozen.value) == ("PRUNED", 0.9)
    assert frozen.user_attrs == {"reason": "rung 1: rank 4 of 4, keeps 1"}
    assert study.query("select action from tuner.decision") == [("prune",)]
    assert study.lease(0, "failures") == (0,)


def test_steps_of_an_earlier_attempt_that_came_further_leave_the_record(
    study: StoredStudy,
) -> None:
    agent = study.agent()
    first = agent.claim_one()
    steps = [report(first, step, 0.5, accuracy=0.5) for step in range(1, 6)]
    agent.store.end([Release(key=first.key, reason="released", reports=steps)])
    second = agent.claim_one()
    again = [report(second, step, 0.5, accuracy=0.5) for step in (1, 2)]
    agent.finish(second, TrialState.PRUNED, 0.5, reports=again, last_step=2)
    (frozen,) = study.optuna().get_trials()
    assert frozen.intermediate_values == {1: 0.5, 2: 0.5}
    assert study.query("select max(step) from tuner.metric") == [(2,)]


def test_a_failed_trial_says_its_class_its_reason_and_what_it_printed(study: StoredStudy) -> None:
    agent = study.agent()
    trial = agent.claim_one()
    failure = Failure(
        cause=FailureClass.NON_FINITE, message="val_loss was nan", traceback="T", log_tail="L"
    )
    agent.finish(trial, TrialState.FAIL, reason="val_loss was nan", failure=failure)
    (frozen,) = study.optuna().get_trials()
    assert (frozen.state.name, frozen.values) == ("FAIL", None)
    assert frozen.user_attrs == {"reason": "val_loss was nan", "failure": "non_finite"}
    assert study.lease(0, "failure, reason, failures") == ("non_finite", "val_loss was nan", 1)
    assert study.query("select number, attempt, message, traceback, tail from tuner.log") == [
        (0, 1, "val_loss was nan", "T", "L")
    ]
    (record,) = agent.store.changes(Seen()).trials
    assert (record.state, record.diverged) == (TrialState.FAIL, True)


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (None, (0, 0, None)),
        (raised(), (1, 0, "boot-1")),
        (replace(raised(), cause=FailureClass.KILLED), (0, 1, "boot-1")),
    ],
)
def test_a_release_counts_failures_and_losses_apart_and_a_hand_back_as_neither(
    study: StoredStudy,
    failure: Failure | None,
    expected: tuple[int, int, str | None],
) -> None:
    agent = study.agent("boot-1")
    trial = agent.claim_one()
    release = Release(key=trial.key, reason="told why", failure=failure)
    assert agent.store.end([release]) == frozenset()
    assert study.lease(0, COUNTERS) == ("free", 1, *expected)
    assert study.lease(0, "reason, owner, ended_at, failure") == ("told why", None, None, None)
    assert study.states() == ["RUNNING"]
    logs = study.query("select message from tuner.log")
    assert logs == ([] if failure is None else [(failure.message,)])
    again = agent.claim_one()
    assert (again.failures, again.losses) == expected[:2]
    assert again.follows_failure == (failure is not None)
    agent.store.end([Release(key=again.key, reason="released")])
    assert not agent.claim_one().follows_failure, "only the attempt before counts"


def test_a_hand_back_keeps_who_made_the_trial_fail_before(study: StoredStudy) -> None:
    here, elsewhere = study.agent("boot-1"), study.agent("boot-2")
    trial = here.claim_one()
    here.store.end([Release(key=trial.key, reason="failed", failure=raised())])
    again = elsewhere.claim_one()
    elsewhere.store.end([Release(key=again.key, reason="released")])
    assert study.lease(0, COUNTERS) == ("free", 2, 1, 0, "boot-1")


def test_a_release_brings_reports_and_decisions_too(study: StoredStudy) -> None:
    agent = study.agent()
    trial = agent.claim_one()
    reports = [report(trial, 1, 0.9), report(trial, 2, 0.8)]
    agent.store.end([Release(key=trial.key, reason="released", reports=reports)])
    assert study.values(0) == {1: 0.9, 2: 0.8}


def test_text_that_no_database_holds_ends_a_trial_all_the_same(study: StoredStudy) -> None:
    agent = study.agent()
    released, failed = agent.claim(2)
    failure = Failure(
        cause=FailureClass.EXCEPTION, message=HOSTILE, traceback=HOSTILE * 3, log_tail=HOSTILE
    )
    ends: list[End] = [
        Release(key=released.key, reason=HOSTILE, failure=failure),
        Finish(
            key=failed.key,
            state=TrialState.FAIL,
            value=None,
            reason=HOSTILE,
            failure=failure,
            user_attrs={"said": HOSTILE},
        ),
    ]
    assert agent.store.end(ends) == frozenset()
    kept = HOSTILE.replace("\0", "\ufffd").replace("\udcff", "\ufffd")
    assert study.query("select message, tail from tuner.log") == [(kept, kept)] * 2
    assert study.lease(0, "reason") == (kept,)
    assert study.attributes(1) == {"said": kept, "reason": kept, "failure": "exception"}


def test_metrics_and_decisions_with_such_text_are_stored(study: StoredStudy) -> None:
    agent = study.agent()
    trial = agent.claim_one()
    decision = DecisionRecord(
        key=trial.key,
        step=1,
        decision=Decision(action=Verdict.CONTINUE, reason=HOSTILE),
        snapshot="1:1:",
        local=(),
    )
    values = report(trial, 1, 0.5, **{HOSTILE: 0.25, "infinite": float("inf")})
    assert agent.store.report(Batch(reports=[values], decisions=[decision])) == frozenset()
    kept = HOSTILE.replace("\0", "\ufffd").replace("\udcff", "\ufffd")
    assert dict(study.query("select name, value from tuner.metric")) == {
        kept: 0.25,
        "infinite": float("inf"),
    }
    assert study.query("select reason from tuner.decision") == [(kept,)]


def test_many_ends_go_in_one_transaction(new_study: NewStudy) -> None:
    study = new_study(32)
    agent = study.agent()
    trials = agent.claim(32)
    ends = [
        Finish(key=t.key, state=TrialState.COMPLETE, value=float(i), reports=[report(t, 1, 0.5)])
        if i % 2
        else Release(key=t.key, reason="released", reports=[report(t, 1, 0.5)])
        for i, t in enumerate(trials)
    ]
    assert agent.store.end(ends) == frozenset()
    assert study.states() == ["RUNNING", "COMPLETE"] * 16
    assert study.query("select count(distinct xmin::text) from tuner.lease") == [(1,)]


def test_a_trial_that_a_client_ended_is_not_described_by_us(study: StoredStudy) -> None:
    agent = study.agent()
    trial = agent.claim_one()
    study.optuna().tell(0, state=OptunaState.FAIL)
    agent.finish(trial, value=0.5, user_attrs={"best_step": 3})
    (frozen,) = study.optuna().get_trials()
    assert (frozen.state.name, frozen.values, frozen.user_attrs) == ("FAIL", None, {})
    assert study.lease(0, "state, reason") == ("done", "ended by an Optuna client")
    kinds = [kind for (kind,) in study.query("select kind from tuner.event order by event_id")]
    assert kinds == ["claimed", "ended_elsewhere"]
