"""How many lanes a stack takes: measured, limited in time, remembered, and made smaller."""

import json
import time

import pytest
import torch

from tests.unit.training.recorder import RecorderLane, classification
from tuner.training.groups.sizes import FixedSizes, MeasuredSizes, Measurement, Size, SizeFile
from tuner.training.losses.built_in import loss_of
from tuner.training.mlp.module import mlp_module
from tuner.training.mlp.stack import MLP
from tuner.training.modules.kind import ModuleModel


@pytest.fixture
def data():
    return classification()


@pytest.fixture
def model(data):
    return MLP(data.n_features, data.n_outputs, loss_of(data))


def _params(**changes):
    return RecorderLane(0, **changes).params


class Measure:
    """Says what it is told to say; counts, and takes as long as it is told to."""

    def __init__(self, size=16, seconds=0.0):
        self.size = size
        self.seconds = seconds
        self.keys = []

    def __call__(self, model, params, seed):
        self.keys.append(model.key(params))
        time.sleep(self.seconds)
        return Size(best=self.size, prompt=min(self.size, 4))


def test_a_real_measurement_gives_a_power_of_two_within_its_limit(data, model):
    size = Measurement(data, loss_of(data), most=8)(model, _params(width=8, batch_size=16), 1)
    assert {size.best, size.prompt} <= {1, 2, 4, 8}
    assert size.prompt <= size.best


def test_the_fewest_lanes_with_nearly_the_best_throughput_are_taken(data, model, monkeypatch):
    measurement = Measurement(data, loss_of(data), most=64)
    # seconds of a step: free until 8 lanes, then in proportion
    monkeypatch.setattr(measurement, "_time", lambda group: max(8, len(group.seats)) * 1e-3)
    assert measurement(model, _params(), 1) == Size(best=8, prompt=8)
    # and a gain that gets smaller: 1, 0.6, 0.4, 0.3, ... of a lane's first time
    monkeypatch.setattr(measurement, "_time", lambda group: 0.2 * len(group.seats) + 0.8)
    assert measurement(model, _params(), 1) == Size(best=64, prompt=8)


def test_a_model_that_breaks_is_measured_as_one(data, model, monkeypatch):
    measurement = Measurement(data, loss_of(data), most=64)

    def broken(group):
        raise RuntimeError("boom")

    monkeypatch.setattr(measurement, "_time", broken)
    assert measurement(model, _params(), 1) == Size(best=1, prompt=1)


def test_memory_limits_how_far_it_is_tried(data, model, monkeypatch):
    measurement = Measurement(data, loss_of(data), most=64)
    monkeypatch.setattr(measurement, "_time", lambda group: 1e-3)
    monkeypatch.setattr(measurement, "_fits", lambda one, n_lanes: n_lanes <= 4)
    assert measurement(model, _params(), 1) == Size(best=4, prompt=4)


def test_each_kind_is_measured_once_and_remembered(model):
    measure, remembered = Measure(), []
    sizes = MeasuredSizes(measure, most=64, known={}, remember=lambda s: remembered.append(dict(s)))
    for params in (_params(width=8), _params(width=8, n_layers=1), _params(width=9)):
        sizes.learn(model, params, 1)
    assert len(measure.keys) == 2
    assert sizes.of(model.key(_params(width=8))) == 16
    assert [len(known) for known in remembered] == [1, 2]


def test_measuring_takes_a_small_share_of_the_time(model):
    measure = Measure(seconds=0.3)
    sizes = MeasuredSizes(measure, most=64)
    for width in range(8, 16):
        sizes.learn(model, _params(width=width), 1)
        assert sizes.of(model.key(_params(width=width))) == 16, "a guess, where it may not measure"
    assert len(measure.keys) < 4


def test_there_is_room_in_the_stacks_of_the_present_kinds(model):
    sizes = MeasuredSizes(Measure(size=16), most=40)
    assert sizes.room({}) == 1, "one to measure"
    for width in (8, 9, 10):
        sizes.learn(model, _params(width=width), 1)
    keys = [model.key(_params(width=width)) for width in (8, 9, 10)]
    assert sizes.room({keys[0]: 1}) == 15
    assert sizes.room({keys[0]: 16, keys[1]: 1}) == 15
    assert sizes.room({keys[0]: 16, keys[1]: 10, keys[2]: 10}) == 4, "40 in all"
    assert sizes.room({keys[0]: 20}) == 0
    assert sizes.room({}) == 16


def test_who_waits_for_trials_limits_the_lanes_of_all_kinds_together(model):
    sizes = MeasuredSizes(Measure(size=16), most=64, is_prompt=True)
    for width in (8, 9):
        sizes.learn(model, _params(width=width), 1)
    keys = [model.key(_params(width=width)) for width in (8, 9)]
    assert sizes.of(keys[0]) == 16, "what comes together anyway still shares a stack"
    assert sizes.room({}) == 4, "the prompt size"
    assert sizes.room({keys[0]: 2, keys[1]: 1}) == 1
    assert sizes.room({keys[0]: 5}) == 0


def test_a_fixed_number_is_that_of_the_device(model):
    sizes = FixedSizes(6)
    for width in (8, 9):
        sizes.learn(model, _params(width=width), 1)
    key = model.key(_params(width=8))
    assert (sizes.of(key), sizes.room({}), sizes.room({key: 4})) == (6, 6, 2)


@pytest.mark.parametrize(
    "make", [lambda: FixedSizes(8), lambda: MeasuredSizes(Measure(8), most=64)]
)
def test_what_breaks_gets_smaller(model, make, caplog):
    sizes, key = make(), model.key(_params())
    sizes.learn(model, _params(), 1)
    sizes.shrink(key, 8, torch.cuda.OutOfMemoryError("out of memory"))
    assert sizes.of(key) == 4
    sizes.shrink(key, 4, ValueError("boom"))
    assert sizes.of(key) == 1
    assert "no memory for 8 lanes" in caplog.text
    assert "4 lanes of mlp width=64 activation=relu batch_size=64 broke (ValueError" in caplog.text


def test_sizes_are_kept_by_scope_for_a_day(tmp_path):
    path = tmp_path / "sizes.json"
    one, other = SizeFile(path, "one"), SizeFile(path, "other")
    assert one.load() == {}
    one.save({"a": Size(best=4, prompt=2)})
    other.save({"b": Size(best=8, prompt=8)})
    assert (one.load(), other.load()) == (
        {"a": Size(best=4, prompt=2)},
        {"b": Size(best=8, prompt=8)},
    )
    assert path.stat().st_mode & 0o777 == 0o600
    content = json.loads(path.read_text())
    content["one"]["time"] -= 25 * 3600
    path.write_text(json.dumps(content))
    assert one.load() == {}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"one": 3}',
        '{"one": {"time": "x", "sizes": {}}}',
        "null",
        '{"one": {"time": 9e9, "sizes": {"a": 4}}}',
    ],
)
def test_a_damaged_file_is_measured_anew_and_replaced(tmp_path, content):
    path = tmp_path / "sizes.json"
    path.write_text(content)
    file = SizeFile(path, "one")
    assert file.load() == {}
    file.save({"a": Size(best=2, prompt=1)})
    assert file.load() == {"a": Size(best=2, prompt=1)}


def test_a_module_that_gains_nothing_trains_alone_without_vmap(data, monkeypatch):
    model = ModuleModel(mlp_module, data, loss_of(data), name="own")
    params = _params(width=8, n_layers=1)
    measurement = Measurement(data, loss_of(data), most=64)

    def time_of(is_plain_best):
        def time(group):
            is_plain = model.key(params) in model._plain
            alone = 0.5 if is_plain_best else 2.0
            return alone if is_plain else float(len(group.seats))

        return time

    monkeypatch.setattr(measurement, "_time", time_of(True))
    assert measurement(model, params, 1) == Size(best=1, prompt=1)
    assert model.key(params) in model._plain
    other = _params(width=9, n_layers=1)
    monkeypatch.setattr(measurement, "_time", lambda group: 1.0)  # many in the time of one
    assert measurement(model, other, 1) == Size(best=64, prompt=64)
    assert model.key(other) not in model._plain
