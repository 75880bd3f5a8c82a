"""What a lane does is the same alone and in any company; the order of talk; isolation."""

import pytest
import torch

from tests.unit.training.recorder import RecorderLane, classification, regression, run
from tuner.study.goal import Goal
from tuner.study.trial import Direction
from tuner.study.verdict import Outcome, Verdict
from tuner.training.checkpoint import load_checkpoint
from tuner.training.groups.device_groups import Groups
from tuner.training.groups.sizes import FixedSizes
from tuner.training.lane import LaneFailed
from tuner.training.losses.built_in import loss_of
from tuner.training.mlp.stack import MLP

pytestmark = pytest.mark.usefixtures("one_thread")


def _three(**params):
    """Lanes that differ in everything a group may differ in."""
    return [
        RecorderLane(0, dropout=0.2, learning_rate=0.01, **params),
        RecorderLane(1, dropout=0.0, l1=0.001, momentum=0.5, **params),
        RecorderLane(2, dropout=0.5, weight_decay=0.1, **params),
    ]


@pytest.mark.parametrize(
    ("optimizer", "activation"), [("sgd", "tanh"), ("adam", "relu"), ("adamw", "gelu")]
)
@pytest.mark.parametrize(("width", "batch_size"), [(24, 16), (33, 50), (100, 8)])
@pytest.mark.parametrize("make_data", [classification, regression])
def test_a_lane_alone_has_the_bits_of_a_lane_in_a_group(
    optimizer, width, batch_size, activation, make_data
):
    data = make_data(n_train=97, n_features=64)
    params = {"optimizer": optimizer, "width": width, "batch_size": batch_size}
    params |= {"activation": activation, "epochs": 3}
    together = _three(**params)
    run(together, data)
    for alone, grouped in zip(_three(**params), together, strict=True):
        run([alone], data)
        assert alone.curve == grouped.curve


@pytest.mark.parametrize("width", [33, 257])
@pytest.mark.parametrize("make_data", [classification, regression])
def test_a_width_that_aligns_nothing_has_the_same_bits_too(width, make_data):
    data = make_data(n_train=1100, n_features=33)
    params = {"width": width, "batch_size": 100, "epochs": 4, "n_layers": 1, "optimizer": "sgd"}
    together = [RecorderLane(n, **params) for n in range(5)]
    run(together, data)
    for n, grouped in enumerate(together):
        alone = RecorderLane(n, **params)
        run([alone], data)
        assert alone.curve == grouped.curve


def test_lanes_that_stay_are_not_touched_by_those_that_leave():
    data = classification()
    params = {"epochs": 5, "batch_size": 16, "width": 24}
    lanes = _three(**params)
    lanes[1].verdicts = {2: Verdict.PRUNE}
    departures = run(lanes, data)
    assert [(d.lane.number, d.how, d.step) for d in departures] == [
        (1, Outcome.PRUNED, 2),
        (0, Outcome.COMPLETE, 5),
        (2, Outcome.COMPLETE, 5),
    ]
    for alone, grouped in zip(_three(**params), lanes, strict=True):
        alone.verdicts = grouped.verdicts
        run([alone], data)
        assert alone.curve == grouped.curve


def test_lanes_of_different_age_share_a_group(tmp_path):
    data = classification()
    params = {"epochs": 4, "batch_size": 16, "width": 24, "dropout": 0.2}
    alone = [RecorderLane(n, spool=tmp_path, **params) for n in (0, 1)]
    for lane in alone:
        run([lane], data)
    older = RecorderLane(0, checkpoint=alone[0].files[2], **params)
    younger = RecorderLane(1, **params)
    run([older, younger], data)
    assert older.curve == {s: v for s, v in alone[0].curve.items() if s > 2}
    assert younger.curve == alone[1].curve


def test_all_report_then_all_save_then_all_are_asked():
    journal = []
    lanes = [RecorderLane(n, journal=journal, epochs=2) for n in range(3)]
    run(lanes, classification())
    one_epoch = [(act, n) for act in ("report", "save", "verdict") for n in range(3)]
    # at the last epoch nothing is left to save or to ask; the weights are offered instead
    last = [(act, n) for act in ("report", "keep") for n in range(3)]
    assert journal == one_epoch + last


def test_one_diverged_lane_fails_alone():
    data = regression()
    good, bad = RecorderLane(0, epochs=3), RecorderLane(1, epochs=3, learning_rate=1e30)
    first, second = run([good, bad], data)
    assert (first.lane, first.how) == (bad, Outcome.NON_FINITE)
    assert bad.reports.keys() == {first.step}
    assert (second.lane, second.how) == (good, Outcome.COMPLETE)
    alone = RecorderLane(0, epochs=3)
    run([alone], data)
    assert alone.curve == good.curve


def test_the_best_epoch_follows_the_direction():
    lane = RecorderLane(epochs=5)
    [departure] = run([lane], classification(), "val_accuracy", minimize=False)
    best = max(v["val_accuracy"] for v in lane.curve.values())
    assert departure.best_values["val_accuracy"] == best
    # of equal epochs the first counts
    assert departure.best_step == min(s for s, v in lane.curve.items() if v["val_accuracy"] == best)


def test_the_key_names_what_lanes_must_share_and_the_structure_what_a_checkpoint_holds():
    data = classification()
    model = MLP(data.n_features, data.n_outputs, loss_of(data))
    base = RecorderLane(0, learning_rate=1e-4, dropout=0.5).params
    other = RecorderLane(1, momentum=0.1, epochs=3).params
    assert model.key(base) == model.key(other)
    assert model.structure(base) == model.structure(other)
    for change in ({"n_layers": 1}, {"optimizer": "sgd"}):
        changed = RecorderLane(0, **change).params
        assert model.key(changed) == model.key(base)
        assert model.structure(changed) != model.structure(base)
    for change in ({"width": 9}, {"n_layers": 0}, {"batch_size": 8}, {"activation": "gelu"}):
        changed = RecorderLane(0, **change).params
        assert model.key(changed) != model.key(base)
        assert model.structure(changed) != model.structure(base)


def _motley(**params):
    """Lanes of all depths and optimizers, in no order."""
    return [
        RecorderLane(0, n_layers=2, dropout=0.2, optimizer="adamw", weight_decay=0.1, **params),
        RecorderLane(1, n_layers=4, learning_rate=0.01, optimizer="adam", **params),
        RecorderLane(2, n_layers=1, dropout=0.5, optimizer="sgd", momentum=0.5, **params),
        RecorderLane(3, n_layers=2, l1=0.001, optimizer="sgd", learning_rate=0.01, **params),
        RecorderLane(4, n_layers=4, dropout=0.1, optimizer="sgd", momentum=0.0, **params),
    ]


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
@pytest.mark.parametrize(("width", "batch_size"), [(24, 16), (33, 50)])
@pytest.mark.parametrize("make_data", [classification, regression])
def test_depths_and_optimizers_mix_without_a_trace(activation, width, batch_size, make_data):
    data = make_data(n_train=97, n_features=64)
    params = {"width": width, "batch_size": batch_size, "activation": activation, "epochs": 3}
    together = _motley(**params)
    together[1].verdicts = {1: Verdict.PRUNE}  # the deepest leaves
    run(together, data)
    for alone, grouped in zip(_motley(**params), together, strict=True):
        alone.verdicts = grouped.verdicts
        run([alone], data)
        assert alone.curve == grouped.curve


def test_kinds_that_cannot_share_a_stack_train_side_by_side():
    data = classification()
    changes = [{"width": 9}, {"n_layers": 0}, {"batch_size": 8}, {"activation": "gelu"}, {}, {}]
    together = [RecorderLane(n, epochs=3, **change) for n, change in enumerate(changes)]
    departures = run(together, data)
    assert sorted(d.lane.number for d in departures) == list(range(6))
    for n, (change, grouped) in enumerate(zip(changes, together, strict=True)):
        alone = RecorderLane(n, epochs=3, **change)
        run([alone], data)
        assert alone.curve == grouped.curve


def _groups(data, n_lanes=64):
    loss = loss_of(data)
    model = MLP(data.n_features, data.n_outputs, loss)
    goal = Goal(metric="val_loss", direction=Direction.MINIMIZE)
    sizes = FixedSizes(n_lanes)
    return Groups(model, data, loss, data_seed=5, goal=goal, sizes=sizes), sizes


def test_new_lanes_join_between_epochs_and_change_nothing():
    data = classification(n_features=64)
    groups, _ = _groups(data)
    params = {"epochs": 4, "batch_size": 16, "width": 24}
    lanes = [RecorderLane(n, dropout=0.1 * n, n_layers=1 + n % 3, **params) for n in range(6)]
    lanes[1].verdicts = {2: Verdict.PRUNE}
    left = []
    for batch in ((0, 1), (2,), (), (3, 4, 5)):
        groups.admit([lanes[n] for n in batch])
        left += groups.turn()
    assert {lane.number for lane in groups.lanes} == {2, 3, 4, 5}
    while groups.lanes:
        left += groups.turn()
    assert sorted(d.lane.number for d in left) == list(range(6))
    for n, joined in enumerate(lanes):
        alone = RecorderLane(n, dropout=0.1 * n, n_layers=1 + n % 3, **params)
        alone.verdicts = joined.verdicts
        run([alone], data)
        assert alone.curve == joined.curve


def test_a_new_lane_inherits_nothing_from_a_group_that_has_just_emptied():
    data = classification()
    params = {"epochs": 4, "batch_size": 16, "width": 24, "dropout": 0.2}
    groups, _ = _groups(data)
    pruned = [RecorderLane(n, verdicts={2: Verdict.PRUNE}, **params) for n in (0, 1)]
    groups.admit(pruned)
    left = [*groups.turn(), *groups.turn()]
    new = RecorderLane(2, **params)
    groups.admit([new])
    while groups.lanes:
        left += groups.turn()
    assert [(d.lane.number, d.how, d.step) for d in left] == [
        (0, Outcome.PRUNED, 2),
        (1, Outcome.PRUNED, 2),
        (2, Outcome.COMPLETE, 4),
    ]
    alone = RecorderLane(2, **params)
    run([alone], data)
    assert alone.curve == new.curve


def test_the_best_weights_of_a_lane_survive_that_another_leaves(tmp_path):
    params = {"epochs": 12, "learning_rate": 0.03, "width": 64}
    leaving = RecorderLane(0, verdicts={10: Verdict.PRUNE}, **params)
    staying = RecorderLane(1, spool=tmp_path, **params)
    _, departure = run([leaving, staying], classification())
    assert departure.best_step < 10
    best = load_checkpoint(staying.files[departure.best_step])["weights"]
    kept = load_checkpoint(staying.files[11])["best"]["weights"]
    assert all(torch.equal(kept[name], best[name]) for name in best)


class Fragile(MLP):
    """Stacks that break while an epoch is under way, as long as `breaks` says so."""

    def __init__(self, data, breaks):
        super().__init__(data.n_features, data.n_outputs, loss_of(data))
        self.breaks = breaks

    def stack(self, rows):
        stack, numbers = super().stack(rows), [seed - 1000 for seed in rows.seeds]
        take_steps = stack.take_steps

        def broken(batches, target_SKBC, first_steps_K, update):
            n_taken = 0

            def count():
                nonlocal n_taken
                update()
                n_taken += 1
                error = self.breaks(numbers) if n_taken == 2 else None
                if error is not None:
                    raise error

            return take_steps(batches, target_SKBC, first_steps_K, count)

        stack.take_steps = broken
        return stack


def _run_fragile(lanes, data, breaks):
    model, loss = Fragile(data, breaks), loss_of(data)
    goal = Goal(metric="val_loss", direction=Direction.MINIMIZE)
    groups = Groups(model, data, loss, data_seed=5, goal=goal, sizes=FixedSizes(64))
    groups.admit(lanes)
    left = []
    while groups.lanes:
        left += groups.turn()
    return left


def test_a_stack_without_memory_goes_on_in_halves_and_no_lane_notices(caplog):
    data = classification()
    params = {"epochs": 3, "batch_size": 16, "width": 24}

    def no_room(numbers):
        return torch.cuda.OutOfMemoryError("CUDA out of memory") if len(numbers) > 2 else None

    lanes = [RecorderLane(n, dropout=0.1, **params) for n in range(8)]
    departures = _run_fragile(lanes, data, no_room)
    assert [d.how for d in departures] == [Outcome.COMPLETE] * 8
    assert "no memory for 8 lanes" in caplog.text
    assert "no memory for 4 lanes" in caplog.text
    assert "no memory for 2 lanes" not in caplog.text
    for n, grouped in enumerate(lanes):
        alone = RecorderLane(n, dropout=0.1, **params)
        run([alone], data)
        assert alone.curve == grouped.curve


def test_every_other_turn_belongs_to_the_most_advanced_lane(tmp_path):
    data = classification()
    first = RecorderLane(0, spool=tmp_path, epochs=6, width=8)
    run([first], data)
    groups, _ = _groups(data)
    ahead = RecorderLane(0, checkpoint=first.files[4], epochs=30, width=8)
    others = [RecorderLane(n, epochs=30, width=8 + n) for n in (1, 2, 3)]
    groups.admit([*others, ahead])
    for _ in range(16):
        list(groups.turn())
    assert len(ahead.reports) == 8
    assert {len(lane.reports) for lane in others} == {2, 3}, "the others come in turn"


def test_beside_a_checkpoint_that_does_not_fit_the_others_go_on_from_theirs(tmp_path):
    data = classification()
    params = {"epochs": 4, "batch_size": 16, "width": 24}
    first = [RecorderLane(n, spool=tmp_path, **params) for n in range(3)]
    for lane in first:
        run([lane], data)
    torn = tmp_path / "torn.safetensors"
    torn.write_bytes(b"no checkpoint")
    lanes = [
        RecorderLane(0, checkpoint=first[0].files[2], **params),
        RecorderLane(1, checkpoint=torn, **params),
        RecorderLane(2, checkpoint=first[2].files[2], **params),
    ]
    groups, _ = _groups(data)
    groups.admit(lanes)
    with pytest.raises(LaneFailed) as caught:
        list(groups.turn())
    assert caught.value.lane is lanes[1]
    assert groups.lanes == [lanes[0], lanes[2]]
    while groups.lanes:
        list(groups.turn())
    for n in (0, 2):
        assert lanes[n].curve == {s: v for s, v in first[n].curve.items() if s > 2}


def test_no_memory_for_the_stack_of_those_that_stay_is_no_reason_to_lose_them():
    data = classification()
    params = {"epochs": 3, "batch_size": 16, "width": 24}

    class Short(MLP):
        """Has no memory for a new stack of several once the first one is there."""

        def stack(self, rows):
            if 2 < len(rows.seeds) < 8:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory")
            return super().stack(rows)

    loss = loss_of(data)
    model = Short(data.n_features, data.n_outputs, loss)
    goal = Goal(metric="val_loss", direction=Direction.MINIMIZE)
    groups = Groups(model, data, loss, data_seed=5, goal=goal, sizes=FixedSizes(64))
    lanes = [RecorderLane(n, dropout=0.1, **params) for n in range(8)]
    lanes[3].verdicts = {1: Verdict.PRUNE}
    groups.admit(lanes)
    left = []
    while groups.lanes:
        left += groups.turn()
    assert sorted(d.lane.number for d in left) == list(range(8))
    for n, grouped in enumerate(lanes):
        alone = RecorderLane(n, dropout=0.1, verdicts=grouped.verdicts, **params)
        run([alone], data)
        assert alone.curve == grouped.curve


def test_a_lane_alone_without_memory_gets_what_the_others_can_build_anew():
    data = classification()
    n_broken = 0

    def no_room(numbers):
        nonlocal n_broken
        if numbers == [1] and n_broken == 0:
            n_broken += 1
            return torch.cuda.OutOfMemoryError("CUDA out of memory")
        return None

    lanes = [RecorderLane(0, epochs=3, width=8), RecorderLane(1, epochs=3, width=9)]
    departures = _run_fragile(lanes, data, no_room)
    assert [d.how for d in departures] == [Outcome.COMPLETE] * 2
    assert n_broken == 1
    for n, width in ((0, 8), (1, 9)):
        alone = RecorderLane(n, epochs=3, width=width)
        run([alone], data)
        assert alone.curve == lanes[n].curve


def test_a_lane_that_breaks_its_stack_is_found_and_fails_alone():
    data = classification()
    params = {"epochs": 3, "batch_size": 16, "width": 24}

    def bad_one(numbers):
        return RuntimeError("boom") if 2 in numbers else None

    lanes = [RecorderLane(n, **params) for n in range(4)]
    model, loss = Fragile(data, bad_one), loss_of(data)
    goal = Goal(metric="val_loss", direction=Direction.MINIMIZE)
    groups = Groups(model, data, loss, data_seed=5, goal=goal, sizes=FixedSizes(64))
    groups.admit(lanes)
    failed, left = [], []
    while groups.lanes:
        try:
            left += groups.turn()
        except LaneFailed as error:
            failed.append((error.lane.number, repr(error.__cause__)))
    assert failed == [(2, "RuntimeError('boom')")]
    assert sorted(d.lane.number for d in left) == [0, 1, 3]
    for n in (0, 1, 3):
        alone = RecorderLane(n, **params)
        run([alone], data)
        assert alone.curve == lanes[n].curve
