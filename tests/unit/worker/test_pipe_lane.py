"""What a lane says to its agent, when it waits for it, and what it makes of the answers."""

import hashlib
import os
from collections import deque
from pathlib import Path

import pytest

from tuner.messages import Continue, NotSaved, Reported, Saved, Setup, Start, Stop
from tuner.study.goal import Goal
from tuner.study.trial import Direction
from tuner.study.verdict import Verdict
from tuner.training.checkpoint import load_checkpoint
from tuner.training.checkpoint_folder import FolderChanged
from tuner.trial import Trial
from tuner.worker import lanes
from tuner.worker.lanes import PipeLane

NAME = {"number": 3, "attempt": 2}


class FakeMail:
    """Messages to be delivered at given times; a clock that only waiting moves."""

    def __init__(self):
        self.now = 100.0
        self.sent = []
        self.due = deque()  # (time, message)
        self.lane = None
        self.waits = 0

    def clock(self):
        return self.now

    def send(self, message):
        self.sent.append(message)

    def deliver(self, wait_seconds):
        if wait_seconds > 0:
            self.waits += 1
            arrives = self.due[0][0] if self.due else float("inf")
            self.now = max(self.now, min(self.now + wait_seconds, arrives))
        while self.due and self.due[0][0] <= self.now:
            self.lane.take(self.due.popleft()[1])


@pytest.fixture
def mail():
    return FakeMail()


def _lane(mail, tmp_path, *, is_stepwise=True, **start):
    setup = Setup(
        device="cpu",
        n_threads=1,
        objective={},
        fixed={"width": 8, "epochs": 5},
        data_folder="",
        data_seed=0,
        goal=Goal(metric="val_loss", direction=Direction.MINIMIZE),
        spool=str(tmp_path),
        save_every_seconds=30.0,
    )
    begin = {
        "params": {"learning_rate": 0.5},
        "seed": 9,
        "checkpoint": None,
        "decide_at": ((2, 7, 2),),
    }
    begun = Start(**NAME, **{**begin, **start})
    mail.lane = PipeLane(begun, setup, mail, mail.clock, is_stepwise=is_stepwise)
    return mail.lane


def test_params_are_complete(mail, tmp_path):
    params = _lane(mail, tmp_path).params
    assert (params["learning_rate"], params["width"], params["batch_size"]) == (0.5, 8, 64)


def test_reports_go_out_at_once(mail, tmp_path):
    _lane(mail, tmp_path).report(1, {"val_loss": 0.5})
    assert mail.sent == [Reported(**NAME, step=1, values={"val_loss": 0.5})]


def test_at_other_steps_nobody_waits(mail, tmp_path):
    lane = _lane(mail, tmp_path)
    lane.report(1, {})
    assert lane.verdict() is Verdict.CONTINUE
    assert mail.waits == 0


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (Continue(**NAME, step=2), Verdict.CONTINUE),
        (Stop(**NAME, verdict=Verdict.PRUNE), Verdict.PRUNE),
        (Stop(**NAME, verdict=Verdict.RELEASE), Verdict.RELEASE),
        (Stop(**NAME, verdict=Verdict.DROP), Verdict.DROP),
    ],
)
def test_at_a_step_of_the_pruner_it_waits_for_the_answer(answer, verdict, mail, tmp_path):
    lane = _lane(mail, tmp_path)
    lane.report(2, {})
    mail.due.append((mail.now + 0.4, answer))
    assert lane.verdict() is verdict
    assert mail.now == pytest.approx(100.4)


def test_after_a_held_verdict_the_next_report_waits_for_its_answer(mail, tmp_path):
    lane = _lane(mail, tmp_path)
    lane.report(2, {})
    mail.due.append((mail.now, Continue(**NAME, step=2, is_held=True)))
    assert lane.verdict() is Verdict.CONTINUE
    lane.report(3, {})  # no step of the pruner
    mail.due.append((mail.now + 0.4, Stop(**NAME, verdict=Verdict.PRUNE)))
    assert lane.verdict() is Verdict.PRUNE


def test_a_verdict_that_comes_with_the_last_step_is_too_late(mail, tmp_path):
    lane = _lane(mail, tmp_path, n_steps=5)
    lane.report(5, {})
    mail.due.append((mail.now, Stop(**NAME, verdict=Verdict.PRUNE)))
    assert lane.verdict() is Verdict.CONTINUE
    lane.report(6, {})  # it has no end there, then
    assert lane.verdict() is Verdict.PRUNE


def test_a_trial_may_ask_whether_a_save_would_write(mail, tmp_path):
    lane = _lane(mail, tmp_path, is_stepwise=False)
    checkpoint = Trial(lane=lane).checkpoint
    mail.now += 1000
    assert checkpoint.is_due()
    assert lane.save(1, dict)
    assert not checkpoint.is_due()
    assert not lane.save(2, dict)
    mail.due.append((mail.now, Stop(**NAME, verdict=Verdict.RELEASE)))
    assert checkpoint.is_due(), "a release comes with it"


@pytest.mark.parametrize("why", [Verdict.RELEASE, Verdict.DROP])
def test_other_reasons_to_stop_hold_at_the_last_step_too(why, mail, tmp_path):
    lane = _lane(mail, tmp_path, n_steps=5)
    lane.report(5, {})
    mail.due.append((mail.now, Stop(**NAME, verdict=why)))
    assert lane.verdict() is not Verdict.CONTINUE


def test_an_answer_that_is_there_already_costs_no_wait(mail, tmp_path):
    lane = _lane(mail, tmp_path)
    lane.report(2, {})
    mail.due.append((mail.now, Continue(**NAME, step=2)))
    assert lane.verdict() is Verdict.CONTINUE
    assert mail.waits == 0


def test_an_answer_to_an_earlier_step_is_not_the_answer(mail, tmp_path):
    lane = _lane(mail, tmp_path)
    lane.report(4, {})
    mail.due.append((mail.now + 0.1, Continue(**NAME, step=2)))
    mail.due.append((mail.now + 0.2, Stop(**NAME, verdict=Verdict.PRUNE)))
    assert lane.verdict() is Verdict.PRUNE


def test_it_waits_one_second_and_not_again_until_an_answer(mail, tmp_path):
    lane = _lane(mail, tmp_path)
    lane.report(2, {})
    assert lane.verdict() is Verdict.CONTINUE
    assert mail.now == pytest.approx(101.0)
    lane.report(4, {})
    assert lane.verdict() is Verdict.CONTINUE
    assert mail.now == pytest.approx(101.0)
    mail.due.append((mail.now, Continue(**NAME, step=2)))  # late, but a sign of life
    lane.report(6, {})
    assert lane.verdict() is Verdict.CONTINUE
    assert mail.now == pytest.approx(102.0)


def test_the_second_counts_from_the_report(mail, tmp_path):
    lane = _lane(mail, tmp_path)
    lane.report(2, {})
    mail.now += 0.9  # other lanes of the group were asked first
    lane.verdict()
    assert mail.now == pytest.approx(101.0)


def test_the_more_final_reason_wins(mail, tmp_path):
    lane = _lane(mail, tmp_path)
    for why in (Verdict.PRUNE, Verdict.RELEASE):
        lane.stop(why)
    assert lane.verdict() is Verdict.PRUNE
    lane.stop(Verdict.DROP)
    assert lane.verdict() is Verdict.DROP


def test_a_checkpoint_is_written_when_its_time_has_come(mail, tmp_path):
    lane = _lane(mail, tmp_path)
    lane.save(1, lambda: pytest.fail("not due"))
    mail.now += 30
    lane.save(2, lambda: {"step": 2})
    lane.save(3, lambda: pytest.fail("not due again"))
    [saved] = mail.sent
    assert isinstance(saved, Saved)
    assert (saved.step, os.path.basename(saved.path)) == (2, "3-2-2.safetensors")
    assert load_checkpoint(tmp_path / "3-2-2.safetensors") == {"step": 2}


def test_the_interval_counts_from_the_end_of_a_save(mail, tmp_path):
    lane = _lane(mail, tmp_path)
    mail.now += 30

    def slow():
        mail.now += 40
        return {}

    assert lane.save(1, slow)
    mail.now += 29
    assert not lane.save(2, lambda: pytest.fail("not due"))
    mail.now += 1
    assert lane.save(3, dict)


def test_a_release_saves_once(mail, tmp_path):
    lane = _lane(mail, tmp_path)
    lane.stop(Verdict.RELEASE)
    lane.save(1, lambda: {})
    lane.save(1, lambda: pytest.fail("saved already"))
    assert [type(message) for message in mail.sent] == [Saved]


def test_a_full_disk_does_not_end_the_trial_and_is_told(mail, tmp_path):
    lane = _lane(mail, tmp_path / "missing")
    lane.stop(Verdict.RELEASE)
    lane.save(1, lambda: {})
    reason = "No such file or directory"
    assert mail.sent == [NotSaved(number=3, attempt=2, step=1, reason=reason)]


def test_what_may_change_between_steps_is_saved_whenever_one_is_due(mail, tmp_path):
    lane = _lane(mail, tmp_path, is_stepwise=False)
    lane.stop(Verdict.RELEASE)
    assert lane.save(0, lambda: {"n": 1})
    assert lane.save(0, lambda: {"n": 2})
    assert [load_checkpoint(Path(m.path)) for m in mail.sent if isinstance(m, Saved)] == [
        {"n": 1},
        {"n": 2},
    ]


def _folder(tmp_path):
    folder = tmp_path / "state"
    folder.mkdir()
    (folder / "weights").write_bytes(b"1")
    return folder


def test_a_folder_is_saved_when_its_time_has_come_or_by_force(mail, tmp_path):
    folder = _folder(tmp_path)
    lane = _lane(mail, tmp_path, is_stepwise=False)
    assert not lane.save_folder(1, folder)
    mail.now += 30
    assert lane.save_folder(1, folder)
    assert not lane.save_folder(2, folder)
    assert lane.save_folder(2, folder, force=True)
    names = [os.path.basename(saved.path) for saved in mail.sent]
    assert names == ["3-2-1-1.folder", "3-2-2-2.folder"]
    assert {saved.sha256 for saved in mail.sent} == {
        hashlib.sha256((tmp_path / names[0]).read_bytes()).hexdigest()
    }


def test_a_folder_that_changed_is_saved_by_the_next_call(mail, tmp_path, monkeypatch):
    folder = _folder(tmp_path)
    lane = _lane(mail, tmp_path, is_stepwise=False)
    mail.now += 30

    def changing(*_):
        raise FolderChanged("it changed")

    with monkeypatch.context() as patch:
        patch.setattr(lanes, "pack_folder", changing)
        assert not lane.save_folder(1, folder)
    assert mail.sent == []
    assert lane.save_folder(1, folder)


def test_a_resumed_trial_waits_for_no_verdict_of_a_rung_behind_it(mail, tmp_path):
    lane = _lane(mail, tmp_path, from_step=5)
    lane.report(7, {})  # rungs are 2, 4, 6: the agent, too, sees 6 reached
    mail.due.append((mail.now, Continue(**NAME, step=7)))
    assert lane.verdict() is Verdict.CONTINUE
    other = _lane(mail, tmp_path, from_step=6)
    other.report(7, {})
    before = mail.now
    assert other.verdict() is Verdict.CONTINUE
    assert mail.now == before
