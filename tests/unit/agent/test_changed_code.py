"""Trials that run other files than those that their agent began with."""

import json
from typing import Any

import pytest

from tests.unit.agent.machines import WORKER, Bench, claimed_trial, of_type
from tuner.agent import acts
from tuner.agent.notices import TrialWarning
from tuner.errors import StudyMismatch
from tuner.messages import BadMessage, Left, RanCode, decode, encode
from tuner.study.lease import Release
from tuner.study.trial import AttemptKey
from tuner.study.verdict import Outcome, Verdict

BEGAN = {"train.py": "a" * 64, "nets.py": "b" * 64}
CHANGED = {"train.py": "c" * 64, "nets.py": "b" * 64}


def _ran(number: int, code: dict[str, str] = CHANGED, attempt: int = 1) -> RanCode:
    return RanCode(number=number, attempt=attempt, code=code)


def _warnings(result: list[acts.Act]) -> list[TrialWarning]:
    notices = [act.notice for act in of_type(result, acts.Say)]
    return [notice for notice in notices if isinstance(notice, TrialWarning)]


def test_every_attempt_is_recorded_and_each_content_is_told_once() -> None:
    bench = Bench(n_workers=2, code=BEGAN)
    bench.training(0)
    bench.ready(WORKER + 1)
    bench.claimed(claimed_trial(1))
    result = bench.say(_ran(0))
    key = AttemptKey(number=0, attempt=1)
    assert of_type(result, acts.AskNoteCode) == [acts.AskNoteCode(key=key, code=CHANGED)]
    (warning,) = _warnings(result)
    assert warning.number == 0
    assert warning.text == (
        "train.py changed after this agent started, and this trial runs the new content"
    )
    result = bench.say(_ran(1), worker=WORKER + 1)
    assert [act.key.number for act in of_type(result, acts.AskNoteCode)] == [1]
    assert not _warnings(result)
    without = {"train.py": "a" * 64}
    (warning,) = _warnings(bench.say(_ran(1, without), worker=WORKER + 1))
    assert warning.text.startswith("nets.py changed")


def test_one_attempt_cannot_speak_for_another() -> None:
    bench = Bench(n_workers=2, code=BEGAN, is_code_fixed=True)
    bench.training(0)
    for message, worker in ((_ran(0, attempt=2), WORKER), (_ran(7), WORKER), (_ran(0), WORKER + 1)):
        assert not of_type(bench.say(message, worker=worker), acts.AskNoteCode)
    assert bench.machine.stop is None


def test_a_study_that_allows_no_change_releases_the_trial_and_ends_the_agent() -> None:
    bench = Bench(n_workers=2, code=BEGAN, is_code_fixed=True)
    trial = bench.training(0)
    bench.ready(WORKER + 1)
    bench.claimed(claimed_trial(1))
    result = bench.say(_ran(0))
    assert not _warnings(result)
    stops = [act.message for act in of_type(result, acts.Send)]
    assert {(stop.number, stop.verdict) for stop in stops} == {
        (0, Verdict.RELEASE),
        (1, Verdict.RELEASE),
    }
    ends = [*bench.ends(bench.leave(trial, Outcome.RELEASED))]
    other = bench.machine.lanes[claimed_trial(1).key].worker
    assert other is not None
    left = Left(number=1, attempt=1, how=Outcome.RELEASED)
    ends += bench.ends(bench.say(left, worker=other))
    assert [type(end) for end in ends] == [Release, Release]
    assert [end.failure for end in ends if isinstance(end, Release)] == [None, None]
    result = bench.stored(*ends)
    assert not of_type(result, acts.AskClaim)
    (leave,) = of_type(result, acts.Leave)
    assert isinstance(leave.ending.error, StudyMismatch)
    assert leave.ending.error.exit_code == 2
    assert str(leave.ending.error) == (
        "train.py changed after this agent started, and the study says `code: refuse`; its trials "
        "continue on an agent with the files that it began with"
    )


def test_the_message_survives_the_pipe() -> None:
    assert decode(encode(_ran(3))) == _ran(3)


@pytest.mark.parametrize(
    "code",
    [
        None,
        [],
        "train.py",
        {"train.py": 7},
        {"train.py": None},
        {"train.py": ["a"]},
        {"x" * 5000: "a"},
        {"train.py": "a" * 5000},
        [["train.py", "a"]],
    ],
)
def test_anything_else_in_its_place_is_no_message(code: Any) -> None:
    line = json.dumps({"type": "RanCode", "number": 1, "attempt": 1, "code": code}).encode()
    with pytest.raises(BadMessage):
        decode(line)
