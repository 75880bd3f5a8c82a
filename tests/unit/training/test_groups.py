"""What a lane does is the same alone and in any company; the order of talk; isolation."""

import pytest
import torch

from tests.unit.training.recorder import RecorderLane, classification, regression, run
from tuner.messages import How
from tuner.training.checkpoint import load_checkpoint
from tuner.training.lane import Verdict
from tuner.training.settings import structure


@pytest.fixture(autouse=True)
def _one_thread():
    # As in a worker: with several threads, torch may split one lane's sums otherwise than three's.
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


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


def test_lanes_that_stay_are_not_touched_by_those_that_leave():
    data = classification()
    params = {"epochs": 5, "batch_size": 16, "width": 24}
    lanes = _three(**params)
    lanes[1].verdicts = {2: Verdict.PRUNE}
    departures = run(lanes, data)
    assert [(d.lane.number, d.how, d.step) for d in departures] == [
        (1, How.PRUNED, 2),
        (0, How.COMPLETE, 5),
        (2, How.COMPLETE, 5),
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
    for step, values in alone[1].curve.items():
        # rows of an own order may lie otherwise in memory: equal to rounding
        assert younger.curve[step] == pytest.approx(values, rel=1e-4)


def test_all_report_then_all_save_then_all_are_asked():
    journal = []
    lanes = [RecorderLane(n, journal=journal, epochs=2) for n in range(3)]
    run(lanes, classification())
    one_epoch = [(act, n) for act in ("report", "save", "verdict") for n in range(3)]
    # at the last epoch nothing is left to save or to ask
    assert journal == one_epoch + [("report", n) for n in range(3)]


def test_one_diverged_lane_fails_alone():
    data = regression()
    good, bad = RecorderLane(0, epochs=3), RecorderLane(1, epochs=3, learning_rate=1e30)
    first, second = run([good, bad], data)
    assert (first.lane, first.how) == (bad, How.NON_FINITE)
    assert bad.reports.keys() == {first.step}
    assert (second.lane, second.how) == (good, How.COMPLETE)
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


def test_structure_names_what_lanes_must_share():
    base = RecorderLane(0, learning_rate=1e-4, dropout=0.5).params
    assert structure(base) == structure(RecorderLane(1, momentum=0.1, epochs=3).params)
    for change in ({"width": 9}, {"n_layers": 1}, {"batch_size": 8}, {"activation": "gelu"}):
        assert structure(RecorderLane(0, **change).params) != structure(base)


def test_the_best_weights_of_a_lane_survive_that_another_leaves(tmp_path):
    params = {"epochs": 12, "learning_rate": 0.03, "width": 64}
    leaving = RecorderLane(0, verdicts={10: Verdict.PRUNE}, **params)
    staying = RecorderLane(1, spool=tmp_path, **params)
    _, departure = run([leaving, staying], classification())
    assert departure.best_step < 10
    best = load_checkpoint(staying.files[departure.best_step])["weights"]
    kept = load_checkpoint(staying.files[11])["best"]["weights"]
    assert all(torch.equal(kept[name], best[name]) for name in best)
