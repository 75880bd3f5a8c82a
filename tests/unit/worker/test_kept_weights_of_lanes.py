"""Which weights a worker writes, and what is said of them."""

import random
from pathlib import Path

import pytest
import torch

from tests.unit.worker.test_pipe_lane import FakeMail
from tuner.messages import Kept, Setup, Start, decode, encode
from tuner.study.goal import Goal
from tuner.study.trial import Direction
from tuner.training import checkpoint
from tuner.training.checkpoint import load_checkpoint
from tuner.worker import lanes
from tuner.worker.best_kept import BestKept
from tuner.worker.lanes import PipeLane


def _lane(mail, folder, kept, number=3):
    setup = Setup(
        device="cpu",
        n_threads=1,
        objective={},
        fixed={},
        data_folder="",
        data_seed=0,
        goal=Goal(metric="val_loss", direction=Direction.MINIMIZE),
        spool=str(folder),
        save_every_seconds=30.0,
    )
    begun = Start(
        number=number, attempt=2, params={}, seed=9, checkpoint=None, decide_at=((2, 7, 2),)
    )
    return PipeLane(begun, setup, mail, mail.clock, kept=kept)


def _state():
    best = {"step": 4, "values": {}, "weights": {"w": torch.ones(3)}, "buffers": {}}
    return {"structure": "mlp", "step": 9, "weights": {"w": torch.zeros(3)}, "best": best}


@pytest.mark.parametrize("minimize", [True, False])
def test_a_trial_behind_enough_others_of_its_process_is_not_wanted(minimize):
    rng = random.Random(2)
    kept, seen = BestKept(3, Direction.MINIMIZE if minimize else Direction.MAXIMIZE), []
    sign = 1 if minimize else -1
    for number in rng.sample(range(200), 200):
        value = rng.choice([0.1, 0.2, 0.3, 0.4])
        rank = (sign * value, number)
        assert kept.is_wanted(value, number) == (sum(other < rank for other in seen) < 3)
        if kept.is_wanted(value, number):
            kept.note(value, number)
        seen.append(rank)
    assert not BestKept(0, Direction.MINIMIZE).is_wanted(-1e9, 0)


def test_of_equal_values_the_lower_number_is_kept(tmp_path):
    mail, kept = FakeMail(), BestKept(1, Direction.MINIMIZE)
    for number in (7, 3, 5):
        _lane(mail, tmp_path, kept, number=number).keep(0.5, _state)
    assert [message.number for message in mail.sent] == [7, 3]


def test_the_best_epochs_weights_are_written_and_named(tmp_path):
    mail = FakeMail()
    _lane(mail, tmp_path, BestKept(5, Direction.MINIMIZE)).keep(0.5, _state)
    (kept,) = mail.sent
    assert isinstance(kept, Kept)
    assert decode(encode(kept)) == kept
    assert (kept.number, kept.attempt, kept.step) == (3, 2, 4)
    tree = load_checkpoint(Path(kept.path), sha256=kept.sha256)
    assert tree["structure"] == "mlp"
    assert tree["weights"]["w"].tolist() == [1, 1, 1]


def test_nothing_is_written_for_nobody_or_behind_better_ones(tmp_path):
    mail, kept = FakeMail(), BestKept(1, Direction.MINIMIZE)
    _lane(mail, tmp_path, None).keep(0.5, _state)
    _lane(mail, tmp_path, kept).keep(0.5, _state)
    _lane(mail, tmp_path, kept, number=4).keep(0.6, lambda: pytest.fail("not even looked at"))
    assert [message.number for message in mail.sent] == [3]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_full_disk_and_too_large_a_model_keep_nothing_and_fail_nothing(tmp_path, monkeypatch):
    mail = FakeMail()

    def no_room(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_checkpoint", no_room)
    kept = BestKept(1, Direction.MINIMIZE)
    _lane(mail, tmp_path, kept).keep(0.5, _state)
    assert kept.is_wanted(0.6, 9), "what is not there keeps nobody out"
    monkeypatch.undo()
    monkeypatch.setattr(lanes, "MAX_WEIGHTS_BYTES", 11)
    _lane(mail, tmp_path, BestKept(5, Direction.MINIMIZE)).keep(0.5, _state)
    assert mail.sent == []
