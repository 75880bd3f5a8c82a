"""What a lane is offered when its trial is COMPLETE, and only then."""

import pytest
import torch

from tests.unit.training.recorder import RecorderLane, classification, run
from tuner.study.verdict import Verdict

pytestmark = pytest.mark.usefixtures("one_thread")


def test_each_complete_lane_of_a_group_is_offered_its_own_best_epoch():
    lanes = [RecorderLane(n, epochs=4, learning_rate=0.3, dropout=0.2) for n in range(3)]
    run(lanes, classification())
    for lane in lanes:
        alone = RecorderLane(lane.number, epochs=4, learning_rate=0.3, dropout=0.2)
        run([alone], classification())
        assert lane.kept is not None
        assert alone.kept is not None
        (value, state), (wanted_value, wanted) = lane.kept, alone.kept
        assert value == wanted_value == min(v["val_loss"] for v in lane.reports.values())
        assert state["best"]["step"] == wanted["best"]["step"]
        for name, weights in wanted["best"]["weights"].items():
            assert torch.equal(state["best"]["weights"][name], weights), name


def test_a_pruned_a_released_and_a_diverged_lane_are_offered_nothing():
    lanes = [
        RecorderLane(0, epochs=4, verdicts={2: Verdict.PRUNE}),
        RecorderLane(1, epochs=4, verdicts={1: Verdict.RELEASE}),
        RecorderLane(2, epochs=4, learning_rate=1e30),
    ]
    run(lanes, classification())
    assert [lane.kept for lane in lanes] == [None, None, None]
