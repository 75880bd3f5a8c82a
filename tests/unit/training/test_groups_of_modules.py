"""Users' modules under the whole trainer: groups, checkpoints, verdicts, failures."""

import pytest

from tests.unit.training.module_models import (
    Checkpointed,
    Dropping,
    DroppingByFunction,
    Image,
    Normed,
    Plain,
    Recurrent,
    model_of,
)
from tests.unit.training.recorder import RecorderLane, classification
from tuner.study.goal import Goal
from tuner.study.trial import Direction
from tuner.study.verdict import Outcome, Verdict
from tuner.training.groups.device_groups import Groups, LaneFailed, train
from tuner.training.groups.sizes import FixedSizes
from tuner.training.losses.built_in import loss_of

PARAMS = {"epochs": 4, "batch_size": 16, "width": 24, "learning_rate": 0.01}
GOAL = Goal(metric="val_loss", direction=Direction.MINIMIZE)


pytestmark = pytest.mark.usefixtures("one_thread")


def _run(build, lanes, n_lanes=4):
    data = classification(n_features=64)
    loss = loss_of(data)
    model, sizes = model_of(build, data), FixedSizes(n_lanes)
    return list(train(Groups(model, data, loss, data_seed=5, goal=GOAL, sizes=sizes), lanes))


def _assert_near(found, wanted):
    assert found.keys() == wanted.keys()
    for step, values in wanted.items():
        assert found[step] == pytest.approx(values, rel=1e-3)


@pytest.mark.parametrize("build", [Plain, Dropping, Normed, Image, Recurrent, DroppingByFunction])
def test_lanes_have_in_company_the_curves_that_they_have_alone(build):
    different = [{"optimizer": "sgd"}, {"weight_decay": 0.1}, {"l1": 0.001, "optimizer": "adamw"}]
    together = [RecorderLane(n, **PARAMS | own) for n, own in enumerate(different)]
    assert {d.how for d in _run(build, together)} == {Outcome.COMPLETE}
    for n, own in enumerate(different):
        alone = RecorderLane(n, **PARAMS | own)
        _run(build, [alone])
        _assert_near(together[n].curve, alone.curve)


@pytest.mark.parametrize(
    "build", [Plain, Dropping, Normed, Image, Recurrent, DroppingByFunction, Checkpointed]
)
def test_a_resume_at_any_epoch_goes_on_exactly(build, tmp_path):
    whole = RecorderLane(spool=tmp_path, **PARAMS)
    (wanted,) = _run(build, [whole])
    for stop in (1, 3):
        resumed = RecorderLane(checkpoint=whole.files[stop], **PARAMS)
        (departure,) = _run(build, [resumed])
        assert resumed.curve == {s: v for s, v in whole.curve.items() if s > stop}
        assert departure.best_step == wanted.best_step


@pytest.mark.parametrize("build", [Dropping, Normed])
def test_a_lane_goes_on_in_another_group(build, tmp_path):
    first = [RecorderLane(n, spool=tmp_path, **PARAMS) for n in range(3)]
    first[1].verdicts = {2: Verdict.RELEASE}
    _run(build, first)
    moved = RecorderLane(1, checkpoint=first[1].files[2], **PARAMS)
    _run(build, [RecorderLane(7, **PARAMS), moved])
    alone = RecorderLane(1, **PARAMS)
    _run(build, [alone])
    _assert_near(moved.curve, {s: v for s, v in alone.curve.items() if s > 2})


def test_lanes_that_joined_on_a_guess_stay_together_when_their_kind_turns_out_to_train_alone():
    data = classification(n_features=64)
    loss = loss_of(data)
    model, sizes = model_of(Plain, data), FixedSizes(4)
    groups = Groups(model, data, loss, data_seed=5, goal=GOAL, sizes=sizes)
    lanes = [RecorderLane(n, **PARAMS) for n in range(3)]
    lanes[0].verdicts = {1: Verdict.PRUNE}
    groups.admit(lanes)
    left = list(groups.turn())
    model.choose_plain(lanes[0].params, True)  # as a later measurement does
    while groups.lanes:
        left += groups.turn()
    assert [d.how for d in left] == [Outcome.PRUNED, Outcome.COMPLETE, Outcome.COMPLETE]


class _Failing(Plain):
    def forward(self, x):
        raise ValueError("nothing to see")


def test_a_broken_model_fails_its_lane_with_the_users_error():
    with pytest.raises(LaneFailed) as caught:
        _run(_Failing, [RecorderLane(0, **PARAMS)])
    assert isinstance(caught.value.__cause__, ValueError)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("where", ["build", "forward"])
def test_a_model_that_wants_to_end_the_process_fails_its_lane(error, where):
    class Exiting(Plain):
        def make_between(self, width):
            if where == "build":
                raise error("enough")
            return super().make_between(width)

        def forward(self, x):
            raise error("enough")

    with pytest.raises(LaneFailed) as caught:
        _run(Exiting, [RecorderLane(n, **PARAMS) for n in range(2)])
    said = f"the model or the loss raised {error.__name__}(enough)"
    assert str(caught.value.__cause__) == said
