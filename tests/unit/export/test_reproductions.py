"""A trial against its record: equal bits, or where and how far it is off, and what may be why."""

import math
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.integration.stores import make_spec
from tuner.cli.commands.reproduce import render
from tuner.export.reproduction import COMPLETE, STOPPED, Again, Record, compare
from tuner.storage.reading.rows import StudyRow, TrialRow
from tuner.storage.reading.shipping import OriginRow
from tuner.study.agents import Desired
from tuner.study.limits import Limits
from tuner.study.trial import Direction, TrialState
from tuner.study_file.identity import dump_spec
from tuner.study_file.kinds.function import FunctionObjective

CURVE = {1: {"val_loss": 0.5, "train_loss": 0.4, "seconds": 1.0}, 2: {"val_loss": 0.25}}


def _record(
    *,
    state=TrialState.COMPLETE,
    value=0.25,
    failure=None,
    reason=None,
    attempt=1,
    curve=CURVE,
    **origin,
):
    spec = make_spec()
    study = StudyRow(
        study_id=1,
        name="searched",
        direction=Direction.MINIMIZE,
        metric="val_loss",
        created_at=datetime.now(UTC),
        spec=dump_spec(spec),
        limits=Limits(),
        n_draws=None,
        next_draw=1,
        n_claimed=1,
        desired=Desired.RUNNING,
        reason=None,
        code=None,
        fingerprint="f",
    )
    trial = TrialRow(
        number=3,
        state=state,
        value=value,
        params={},
        n_steps=2,
        started_at=None,
        ended_at=None,
        attempt=attempt,
        reason=reason,
        failure=failure,
        host=None,
        device=None,
        retry_of=None,
        user_attrs={},
    )
    fields = {"seed": 1, "draw": 3, "device": "cpu:0#1", "code": {"t.py": "1"}, **origin}
    about = {"packages": {"torch": "2"}, "devices": {"cpu:0": "EPYC"}}
    return Record(
        study=study, spec=spec, trial=trial, origin=OriginRow(about=about, **fields), curve=curve
    )


def _again(curve=CURVE, value=0.25, ended=COMPLETE, **changes):
    fields = {
        "device": "cpu:1, EPYC",
        "fingerprint": "f",
        "code": {"t.py": "1"},
        "packages": {"torch": "2", "numpy": "9"},
        **changes,
    }
    return Again(curve=curve, value=value, ended=ended, **fields)


def test_equal_bits_are_said_whatever_the_clock_measured():
    slower = {1: {**CURVE[1], "seconds": 9.0}, 2: CURVE[2]}
    found = compare(_record(), _again(slower))
    assert found.is_equal
    assert found.circumstances == ()
    assert render(found) == (
        "trial 3, COMPLETE on the record: reproduced bit for bit (2 steps, value 0.25)"
    )


@pytest.mark.parametrize("other", [math.nextafter(0.25, 1), math.nan])
def test_the_last_bit_counts_and_is_located(other):
    found = compare(_record(), _again({1: CURVE[1], 2: {"val_loss": other}}, value=other))
    assert not found.is_equal
    (difference,) = found.differences
    assert (difference.name, difference.first_step, difference.n_steps) == ("val_loss", 2, 1)
    assert "value: then 0.25, now " in render(found)


def test_a_pruned_trial_is_compared_by_its_steps_alone():
    other = {1: CURVE[1], 2: {"val_loss": 0.5}}
    again = _again(other, value=None, ended=STOPPED)
    shown = render(compare(_record(state=TrialState.PRUNED), again))
    assert "from step 2 on" in shown
    assert "value" not in shown


def test_other_values_of_own_code_bring_advice_about_its_seed():
    own = FunctionObjective(function="train.py:train")
    spec = make_spec().model_copy(update={"objective": own})
    record, other = replace(_record(), spec=spec), {1: CURVE[1], 2: {"val_loss": 0.5}}
    assert "note: if training has a random part, seed all" in render(compare(record, _again(other)))
    assert "random part" not in render(compare(record, _again()))


def test_a_step_that_never_came_is_missing_and_two_that_are_no_number_are_equal():
    found = compare(_record(), _again({1: CURVE[1]}, value=None, ended="it crashed"))
    assert "val_loss: missing, from step 2 on" in render(found)
    nan = {1: {"train_loss": math.nan}}
    reason = "val_loss is nan"
    diverged = _record(
        state=TrialState.FAIL, value=None, failure="non_finite", reason=reason, curve=nan
    )
    assert compare(diverged, _again(nan, value=None, ended="val_loss is nan")).is_equal


def test_a_failure_has_to_come_again_and_a_pruned_trial_is_stopped_where_it_was():
    reason = "ValueError: no (quarantined: failed 3 times)"
    failed = _record(state=TrialState.FAIL, value=None, failure="exception", reason=reason)
    assert failed.ended_by_itself
    assert not compare(failed, _again(value=0.25)).is_equal
    again = compare(failed, _again(value=None, ended="ValueError: no"))
    assert again.is_equal
    assert "again: ValueError: no" in render(again)
    other = compare(failed, _again(value=None, ended="FileNotFoundError: data.csv"))
    assert not other.is_equal
    assert "end: then ValueError: no, now FileNotFoundError: data.csv" in render(other)
    for state, failure in (("PRUNED", None), ("FAIL", "timeout"), ("FAIL", "agent_lost")):
        record = _record(state=state, value=None, failure=failure)
        assert not record.ended_by_itself
        assert compare(record, _again(value=None, ended=STOPPED)).is_equal


def test_what_was_not_the_same_is_said():
    found = compare(
        _record(attempt=2),
        _again(device="gpu:0, H200", fingerprint="g", code={}, packages={"torch": "3"}),
    )
    assert found.is_equal
    assert found.circumstances == (
        "another device: then cpu:0#1, EPYC, now gpu:0, H200",
        "other data: their fingerprint is not the study's",
        "other code: t.py",
        "another torch: then 2, now 3",
        "it was trained in 2 attempts",
    )
