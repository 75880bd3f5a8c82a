"""A final training in its folder: interrupted it goes on, and a full disk stops nothing."""

import threading
from pathlib import Path

import pytest
import torch

from tuner.export import final_lane
from tuner.export.final_lane import FinalLane, Told, remove_checkpoints
from tuner.study.goal import Goal
from tuner.study.trial import Direction
from tuner.study.verdict import Verdict


class Clock:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


GOAL = Goal(metric="val_loss", direction=Direction.MINIMIZE)


def _lane(folder: Path, **changes) -> FinalLane:
    fields = {"n_steps": 9, "stop": threading.Event(), "tell": lambda news: None, **changes}
    return FinalLane({"epochs": 9}, 3, folder, GOAL, **fields)


def _state(step: int) -> dict:
    return {"step": step, "weights": torch.full((2,), float(step))}


def test_nothing_is_saved_until_it_is_due_and_then_the_curve_goes_with_it(tmp_path):
    clock = Clock()
    lane = _lane(tmp_path, clock=clock)
    lane.report(1, {"val_loss": 0.5})
    assert not lane.save(1, lambda: _state(1))
    assert list(tmp_path.iterdir()) == []
    clock.now = final_lane.SAVE_SECONDS
    lane.report(2, {"val_loss": 0.25})
    assert lane.save(2, lambda: _state(2))
    again = _lane(tmp_path)
    assert (again.from_step, again.last_value) == (2, 0.25)
    assert again.curve == {1: {"val_loss": 0.5}, 2: {"val_loss": 0.25}}


def test_a_stop_saves_at_once_and_only_the_newest_state_stays(tmp_path):
    stop = threading.Event()
    lane = _lane(tmp_path, stop=stop)
    assert lane.verdict() is Verdict.CONTINUE
    stop.set()
    assert lane.verdict() is Verdict.RELEASE
    for step in (1, 2):
        lane.report(step, {"val_loss": 1.0})
        assert lane.save(step, lambda step=step: _state(step))
    assert [path.name for path in tmp_path.glob("*.safetensors")] == ["checkpoint-2.safetensors"]
    remove_checkpoints(tmp_path)
    assert not any(tmp_path.iterdir())


def test_a_damaged_state_is_passed_over_and_said(tmp_path):
    told = []
    lane = _lane(tmp_path, is_stepwise=False)
    lane.report(1, {"val_loss": 1.0})
    lane.save(1, lambda: _state(1))
    (tmp_path / "checkpoint-7.safetensors").write_bytes(b"torn")
    again = _lane(tmp_path, tell=told.append)
    assert again.from_step == 1
    assert "checkpoint-7.safetensors cannot be read" in told[0]


def test_a_disk_that_is_full_stops_nothing_and_is_said_once(tmp_path, monkeypatch):
    told = []
    lane = _lane(tmp_path, is_stepwise=False, tell=told.append)
    lane.report(1, {"val_loss": 1.0})
    assert lane.save(1, lambda: _state(1))

    def no_room(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(final_lane, "save_checkpoint", no_room)
    for step in (2, 3):
        lane.report(step, {"val_loss": 1.0})
        assert not lane.save(step, lambda: _state(2))
    assert [text for text in told if isinstance(text, str)] == [
        "the state of step 2 is not saved ([Errno 28] No space left on device); training continues"
    ]
    assert sum(isinstance(news, Told) for news in told) == 3
    assert _lane(tmp_path).from_step == 1


@pytest.mark.parametrize("at", ["before the state", "between the state and the old ones"])
def test_a_death_at_any_point_leaves_a_state_with_its_curve(tmp_path, monkeypatch, at):
    lane = _lane(tmp_path, is_stepwise=False)
    lane.report(1, {"val_loss": 1.0})
    lane.save(1, lambda: _state(1))
    lane.report(2, {"val_loss": 0.5})

    def die(*_):
        raise KeyboardInterrupt

    name = "save_checkpoint" if at == "before the state" else "_checkpoints"
    monkeypatch.setattr(final_lane, name, die)
    with pytest.raises(KeyboardInterrupt):
        lane.save(2, lambda: _state(2))
    monkeypatch.undo()
    again = _lane(tmp_path)
    assert again.from_step == (1 if at == "before the state" else 2)
    assert max(again.curve) == again.from_step


def test_a_saved_folder_replaces_the_tree_before_it_and_is_found_again(tmp_path):
    folder = tmp_path / "state"
    folder.mkdir()
    (folder / "weights").write_bytes(b"1")
    lane = _lane(tmp_path, is_stepwise=False)
    lane.report(1, {"val_loss": 1.0})
    lane.save(1, lambda: _state(1))
    assert lane.save_folder(1, folder, force=True)
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-1.folder"]
    assert lane.trusts_folders
    again = _lane(tmp_path)
    assert (again.checkpoint, again.from_step) == (str(tmp_path / "checkpoint-1.folder"), 1)
    (tmp_path / "checkpoint-1.folder").write_bytes(b"torn")
    assert _lane(tmp_path).checkpoint is None
