"""A trial that is interrupted at any epoch ends with the same bits as one that is not."""

import pytest
import torch

from tests.unit.training.recorder import RecorderLane, classification, regression, run
from tuner.study.verdict import Outcome, Verdict
from tuner.training.checkpoint import BadCheckpoint, load_checkpoint
from tuner.training.lane import LaneFailed

EPOCHS = 4


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("make_data", [classification, regression])
def test_a_resume_at_any_epoch_is_bit_equal(optimizer, make_data, tmp_path):
    data = make_data()
    params = {
        "optimizer": optimizer,
        "dropout": 0.3,
        "weight_decay": 0.01,
        "l1": 0.001,
        "epochs": EPOCHS,
        "batch_size": 16,
        "width": 24,
    }
    whole = RecorderLane(spool=tmp_path, **params)
    [wanted] = run([whole], data)
    final = load_checkpoint(whole.files[EPOCHS - 1])
    for stop in range(1, EPOCHS):
        resumed = RecorderLane(checkpoint=whole.files[stop], spool=tmp_path, **params)
        [departure] = run([resumed], data)
        assert resumed.curve == {s: v for s, v in whole.curve.items() if s > stop}
        assert departure.best_step == wanted.best_step
        assert departure.how is Outcome.COMPLETE
        if stop < EPOCHS - 1:
            _assert_same_tree(load_checkpoint(resumed.files[EPOCHS - 1]), final)


def _assert_same_tree(one, other):
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            if key != "seconds":
                _assert_same_tree(one[key], other[key])
    else:
        assert one == other


def test_a_checkpoint_keeps_the_weights_of_the_best_epoch(tmp_path):
    # a learning rate so high that the model soon fits the noise
    lane = RecorderLane(spool=tmp_path, epochs=12, learning_rate=0.03, width=64)
    [departure] = run([lane], classification())
    best = min(lane.curve, key=lambda step: lane.curve[step]["val_loss"])
    assert departure.best_step == best < 11
    assert departure.best_values == lane.reports[best]
    last, then = load_checkpoint(lane.files[11]), load_checkpoint(lane.files[best])
    _assert_same_tree(last["best"]["weights"], then["weights"])


def test_a_released_lane_saves_before_it_leaves(tmp_path):
    lane = RecorderLane(epochs=5, verdicts={2: Verdict.RELEASE})
    [departure] = run([lane], classification())
    assert (departure.how, departure.step) == (Outcome.RELEASED, 2)
    assert lane.journal[-2:] == [("verdict", 0), ("save", 0)]


def test_a_finished_checkpoint_needs_no_further_epoch(tmp_path):
    first = RecorderLane(spool=tmp_path, epochs=3)
    run([first], classification())
    lane = RecorderLane(checkpoint=first.files[2], epochs=2)
    [departure] = run([lane], classification())
    assert departure.how is Outcome.COMPLETE
    assert not lane.reports
    assert departure.best_values["val_loss"] == min(
        v["val_loss"] for s, v in first.curve.items() if s < 3
    )


def test_a_checkpoint_of_another_structure_is_refused(tmp_path):
    first = RecorderLane(spool=tmp_path, epochs=3, width=8)
    run([first], classification())
    with pytest.raises(LaneFailed) as caught:
        run([RecorderLane(checkpoint=first.files[1], epochs=3, width=9)], classification())
    assert isinstance(caught.value.__cause__, BadCheckpoint)
    assert "width=8" in str(caught.value.__cause__)


def test_a_checkpoint_of_other_data_is_refused(tmp_path):
    first = RecorderLane(spool=tmp_path, epochs=3, width=8)
    run([first], classification(n_features=20))
    with pytest.raises(LaneFailed) as caught:
        run(
            [RecorderLane(checkpoint=first.files[1], epochs=3, width=8)],
            classification(n_features=21),
        )
    assert isinstance(caught.value.__cause__, BadCheckpoint)
    assert "hidden.0.weight has shape" in str(caught.value.__cause__)
