"""The fence: who lost a trial can change nothing of it, and is told. (See also invariants.py.)"""

import math
from collections.abc import Callable

import pytest

from tests.integration.stores import StoreAgent, StoredStudy, raised, report
from tuner.study.checkpoint import SavedFile
from tuner.study.decision import Decision, DecisionRecord
from tuner.study.feed import Seen
from tuner.study.lease import Batch, ClaimedTrial, Finish, Release
from tuner.study.report import Report
from tuner.study.trial import AttemptKey, TrialState
from tuner.study.verdict import Verdict

NewStudy = Callable[..., StoredStudy]
GO_ON = Decision(action=Verdict.CONTINUE, reason="rung 1: rank 1 of 1, keeps 1")


def _everything(study: StoredStudy) -> list[object]:
    """What a fenced write may not touch."""
    tables = ["trials", "trial_values", "trial_intermediate_values", "trial_user_attributes"]
    tables += [f"tuner.{name}" for name in ("lease", "metric", "rung", "decision", "checkpoint")]
    tables += ["tuner.log", "tuner.event", "tuner.checkpoint_chunk", "tuner.weights"]
    return [study.query(f"select * from {table} order by 1, 2") for table in tables]


def _writes(agent: StoreAgent, key: AttemptKey, file: SavedFile) -> list[frozenset[AttemptKey]]:
    """Every kind of write of one attempt; returns what each says is lost."""
    reports = [Report(key=key, step=5, values={"val_loss": 0.1, "accuracy": 0.5}, rungs=(5,))]
    decision = DecisionRecord(key=key, step=5, decision=GO_ON, snapshot="10:20:", local=())
    return [
        agent.store.report(Batch(reports=reports)),
        agent.store.report(Batch(decisions=[decision])),
        agent.store.report(Batch(reports=reports, checkpoints=[file])),
        agent.store.report(Batch(checkpoints=[file])),
        agent.store.end([Release(key=key, reason="released", reports=reports)]),
        agent.store.end([Release(key=key, reason="failed", failure=raised(), checkpoint=file)]),
        agent.store.end(
            [Finish(key=key, state=TrialState.COMPLETE, value=0.1, reports=reports, weights=file)],
        ),
        agent.store.end([Finish(key=key, state=TrialState.FAIL, value=None, failure=raised())]),
    ]


@pytest.fixture
def file(tmp_path: object) -> Callable[[AttemptKey], SavedFile]:
    def save(key: AttemptKey) -> SavedFile:
        from hashlib import sha256
        from pathlib import Path

        path = Path(str(tmp_path)) / f"{key.number}-{key.attempt}"
        path.write_bytes(b"state")
        digest = sha256(b"state").hexdigest()
        return SavedFile(key=key, step=5, path=str(path), sha256=digest, n_bytes=5)

    return save


def test_an_agent_that_lost_a_trial_to_another_can_change_nothing_of_it(
    study: StoredStudy, file: Callable[[AttemptKey], SavedFile]
) -> None:
    lost, heir = study.agent(), study.agent()
    trial = lost.claim_one()
    heir.claim_one(silent=[heir.sees(lost)])
    before = _everything(study)
    for answer in _writes(lost, trial.key, file(trial.key)):
        assert answer == {trial.key}
    assert _everything(study) == before


def test_an_older_attempt_of_my_own_can_change_nothing(
    study: StoredStudy, file: Callable[[AttemptKey], SavedFile]
) -> None:
    agent = study.agent()
    old = agent.claim_one()
    agent.store.end([Release(key=old.key, reason="released")])
    agent.claim_one()
    before = _everything(study)
    for answer in _writes(agent, old.key, file(old.key)):
        assert answer == {old.key}
    assert _everything(study) == before


def test_nobody_writes_to_a_trial_that_was_released_or_has_ended(
    study: StoredStudy, file: Callable[[AttemptKey], SavedFile]
) -> None:
    agent, stranger = study.agent(), study.agent()
    released, ended = agent.claim(2)
    agent.store.end([Release(key=released.key, reason="released")])
    agent.finish(ended)
    before = _everything(study)
    assert all(_writes(agent, released.key, file(released.key)))
    assert all(_writes(stranger, ended.key, file(ended.key)))
    assert agent.store.report(Batch(reports=[report(ended, 9, 0.1)])) == {ended.key}
    assert _everything(study) == before


def test_a_lost_trial_in_a_batch_does_not_hold_up_the_others(study: StoredStudy) -> None:
    agent, heir = study.agent(), study.agent()
    kept, lost, ended = agent.claim(3)
    study.query("update tuner.lease set state = 'free', owner = null where number = 1")
    heir.claim_one()
    batch = Batch(reports=[report(trial, 1, 0.5) for trial in (kept, lost, ended)])
    assert agent.store.report(batch) == {lost.key}
    assert (study.values(0), study.values(1), study.values(2)) == ({1: 0.5}, {}, {1: 0.5})
    ends = [Finish(key=t.key, state=TrialState.COMPLETE, value=0.5) for t in (lost, ended)]
    assert agent.store.end(ends) == {lost.key}
    assert study.states() == ["RUNNING", "RUNNING", "COMPLETE"]


def test_an_unknown_number_is_lost(study: StoredStudy) -> None:
    agent = study.agent()
    nowhere = AttemptKey(number=99, attempt=1)
    assert agent.store.report(Batch(reports=[report(nowhere, 1, 0.5)])) == {nowhere}
    assert agent.store.end([Release(key=nowhere, reason="released")]) == {nowhere}
    assert agent.store.end([]) == frozenset()
    assert agent.store.report(Batch()) == frozenset()


def test_a_report_that_arrives_twice_counts_once(study: StoredStudy) -> None:
    agent = study.agent()
    trial = agent.claim_one()
    batch = Batch(
        reports=[report(trial, 1, 0.9, accuracy=0.1), report(trial, 2, 0.8, accuracy=0.2)]
    )
    for _ in range(2):
        assert agent.store.report(batch) == frozenset()
    assert study.values(0) == {1: 0.9, 2: 0.8}
    assert study.query("select step, name, value from tuner.metric order by 1") == [
        (1, "accuracy", 0.1),
        (2, "accuracy", 0.2),
    ]


def test_what_was_said_last_about_a_step_stands(study: StoredStudy) -> None:
    agent = study.agent()
    trial = agent.claim_one()
    agent.store.report(Batch(reports=[report(trial, 1, 0.9), report(trial, 1, 0.7)]))
    assert study.values(0) == {1: 0.7}
    agent.store.report(Batch(reports=[report(trial, 1, 0.6)]))
    assert study.values(0) == {1: 0.6}


def test_the_next_attempt_overwrites_reports_past_its_checkpoint(study: StoredStudy) -> None:
    lost, heir = study.agent(), study.agent()
    trial = lost.claim_one()
    lost.store.report(Batch(reports=[report(trial, step, 0.9) for step in (1, 2, 3)]))
    again = heir.claim_one(silent=[heir.sees(lost)])
    heir.store.report(Batch(reports=[report(again, 1, 0.5)]))
    assert study.values(0) == {1: 0.5, 2: 0.9, 3: 0.9}


def test_non_finite_values_are_stored_as_optuna_stores_them(study: StoredStudy) -> None:
    agent = study.agent()
    trial = agent.claim_one()
    values = {1: math.nan, 2: math.inf, 3: -math.inf, 4: 1e308, 5: -0.0, 6: 5e-324}
    reports = [
        Report(key=trial.key, step=step, values={"val_loss": value, "other": value}, rungs=(step,))
        for step, value in values.items()
    ]
    agent.store.report(Batch(reports=reports))
    (frozen,) = study.optuna().get_trials()
    read = frozen.intermediate_values
    assert math.isnan(read[1])
    assert {s: v for s, v in read.items() if s > 1} == {s: v for s, v in values.items() if s > 1}
    kinds = "select intermediate_value_type::text from trial_intermediate_values order by step"
    assert [kind for (kind,) in study.query(kinds)][:4] == ["NAN", "INF_POS", "INF_NEG", "FINITE"]
    rungs = [value.step for value in agent.store.changes(Seen()).rung_values]
    assert sorted(rungs) == [4, 5, 6]
    assert study.query("select count(*) from tuner.metric") == [(6,)]


def test_a_stock_trial_stores_the_same_rows(study: StoredStudy) -> None:
    agent = study.agent()
    trial = agent.claim_one()
    stock = study.optuna().ask(study.distributions)
    values = [math.nan, math.inf, -math.inf, 0.5]
    agent.store.report(Batch(reports=[report(trial, i, v) for i, v in enumerate(values, 1)]))
    for step, value in enumerate(values, 1):
        stock.report(value, step)
    columns = "step, intermediate_value, intermediate_value_type::text"
    rows = [
        study.query(
            f"select {columns} from trial_intermediate_values join trials using (trial_id)"
            " where number = %s order by step",
            number,
        )
        for number in (trial.key.number, stock.number)
    ]
    assert rows[0] == rows[1]


def _decision(trial: ClaimedTrial, step: int, snapshot: str) -> DecisionRecord:
    return DecisionRecord(key=trial.key, step=step, decision=GO_ON, snapshot=snapshot, local=(3, 1))


def test_a_decision_is_stored_once_with_what_had_been_seen(study: StoredStudy) -> None:
    agent = study.agent()
    trial = agent.claim_one()
    for reason in ("first", "second"):
        record = DecisionRecord(
            key=trial.key,
            step=3,
            decision=Decision(action=Verdict.PRUNE, reason=reason),
            snapshot="100:120:105",
            local=(4, 2),
        )
        agent.store.report(Batch(decisions=[record]))
    assert study.query(
        "select number, attempt, step, action, reason, seen::text, local from tuner.decision "
        "order by number"
    ) == [(0, 1, 3, "prune", "first", "100:120:105", [4, 2])]


def test_the_snapshot_of_a_decision_tells_which_rung_values_had_been_seen(
    new_study: NewStudy,
) -> None:
    study = new_study(6)
    agent, slow = study.agent(), study.agent()
    trials, late = agent.claim(4), slow.claim_one()
    write = "insert into tuner.rung (study_id, step, number, value) values (%s, 1, %s, 0.5)"
    with study.held_open(write, study.study_id, late.key.number):
        at_rung = [
            Report(key=trial.key, step=1, values={"val_loss": 0.1 * i}, rungs=(1,))
            for i, trial in enumerate(trials)
        ]
        agent.store.report(Batch(reports=at_rung[:2]))
        seen = agent.store.changes(Seen())
        agent.store.report(Batch(reports=at_rung[2:]))
        assert seen.seen.snapshot is not None
        agent.store.report(Batch(decisions=[_decision(trials[0], 1, seen.seen.snapshot)]))
    known = sorted((value.number, value.value) for value in seen.rung_values)
    assert [number for number, _ in known] == [0, 1]
    derived = study.query(
        "select r.number, r.value from tuner.rung r, tuner.decision d"
        " where pg_visible_in_snapshot(r.xid, d.seen) order by 1"
    )
    assert derived == known
