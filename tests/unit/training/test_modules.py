"""Users' modules in a stack: what a lane does is the same alone and in any company."""

import pytest
import torch

from tests.unit.training.module_models import (
    FUSIBLE,
    Dropping,
    Image,
    Lanes,
    LayerNormed,
    Normed,
    Plain,
    Unused,
    model_of,
    ordinary_losses,
)
from tests.unit.training.recorder import classification, regression
from tuner.study_file.params.trainer_params import resolve
from tuner.training.losses.metrics import Metrics
from tuner.training.modules.template import build_module

SEEDS = [11, 12, 13]
# One lane alone and several go through other kernels of convolution, of batch normalization and
# of layers with one output: rounding differs. All else has the same bits on a CPU.
ROUNDING = {"Image": 1e-4, "Normed": 1e-4}
ROUNDING_OF_ONE_OUTPUT = 1e-4


@pytest.fixture(autouse=True)
def _one_thread():
    # As in a worker: with several threads, torch may split one lane's sums otherwise than three's.
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.no_grad():
        yield
    torch.set_num_threads(n_threads)


def _assert_same(found, wanted, tolerance):
    """Bits, or within the tolerance of the largest number."""
    if tolerance is None or not found.is_floating_point():
        assert torch.equal(found, wanted)
    else:
        assert (found - wanted).abs().max() <= tolerance * wanted.abs().max()


def _assert_same_lane(group, k, alone, tolerance):
    _assert_same(group.rows.parameters_KD[k], alone.rows.parameters_KD[0], tolerance)
    _assert_same(group.outputs()[k], alone.outputs()[0], tolerance)
    for name, buffer in alone.rows.buffers.items():
        _assert_same(group.rows.buffers[name][k], buffer[0], tolerance)


@pytest.mark.parametrize("build", FUSIBLE)
@pytest.mark.parametrize("make_data", [classification, regression])
def test_a_lane_alone_does_what_it_does_in_a_group(build, make_data):
    data = make_data(n_features=64)
    model, tolerance = model_of(build, data), ROUNDING.get(build.__name__)
    if data.n_outputs == 1:
        tolerance = ROUNDING_OF_ONE_OUTPUT
    assert model.max_lanes(resolve({"batch_size": 16})) is None
    group = Lanes(model, data, SEEDS)
    losses_SK = group.train(9)
    assert not torch.equal(losses_SK[:, 0], losses_SK[:, 1])
    for k, seed in enumerate(SEEDS):
        alone = Lanes(model, data, [seed])
        _assert_same(losses_SK[:, k], alone.train(9)[:, 0], tolerance)
        _assert_same_lane(group, k, alone, tolerance)


# torch draws other masks than we do; the test below compares with ours
@pytest.mark.parametrize("build", [build for build in FUSIBLE if build is not Dropping])
def test_in_double_precision_nothing_differs_from_an_ordinary_module(build):
    data = classification(n_features=64, dtype=torch.float64)
    model = model_of(build, data)
    group = Lanes(model, data, SEEDS)
    losses_SK = group.train(9)
    for k, seed in enumerate(SEEDS):
        module = build_module(build, group.params, data, seed)
        for step, loss in enumerate(ordinary_losses(module, data, 9)):
            assert abs(losses_SK[step, k] - loss) < 1e-10
        weights = model.layout(group.params).by_name(group.rows.parameters_KD[k])
        for name, parameter in module.named_parameters():
            value = weights.get(name, group.rows.buffers.get(name, [parameter] * 3)[k])
            assert (value - parameter).abs().max() < 1e-10
        for name, buffer in module.named_buffers():
            assert (group.rows.buffers[name][k] - buffer).abs().max() < 1e-10
        assert (group.outputs()[k].T - module.eval()(data.validation.x_NF)).abs().max() < 1e-10


def test_dropout_is_that_of_the_same_module_by_itself():
    data = classification(n_features=64, dtype=torch.float64)
    model = model_of(Dropping, data)
    group = Lanes(model, data, SEEDS)
    losses_SK = group.train(9)
    for k, seed in enumerate(SEEDS):
        alone = Lanes(model, data, [seed])
        alone.stack = model.plain_stack(alone.rows)
        assert (losses_SK[:, k] - alone.train(9)[:, 0]).abs().max() < 1e-10
    without = Lanes(model_of(Dropping, data), data, SEEDS)
    without.stack._template.dropouts["between.0"].rate = 0.0
    assert not torch.allclose(without.train(9), losses_SK)


@pytest.mark.parametrize("build", [Plain, LayerNormed, Dropping, Normed, Image])
def test_lanes_may_leave_come_and_change_their_places(build):
    data = classification(n_features=64)
    model, tolerance = model_of(build, data), ROUNDING.get(build.__name__)
    group = Lanes(model, data, SEEDS)
    group.train(4)
    group = group.keep([2, 0])  # another order, and one less
    group.train(3)
    group = group.joined(Lanes(model, data, [77]))  # of another age
    group.train(5)
    for k, (seed, n_steps) in enumerate([(13, 12), (11, 12), (77, 5)]):
        alone = Lanes(model, data, [seed])
        alone.train(n_steps)
        _assert_same_lane(group, k, alone, tolerance)


@pytest.mark.parametrize("build", FUSIBLE)
def test_a_resume_is_exact(build):
    data = classification(n_features=64)
    model = model_of(build, data)
    whole, first = Lanes(model, data, [5]), Lanes(model, data, [5])
    losses_S1 = whole.train(7)
    first.train(3)
    resumed = first.keep([0])
    resumed.model = model_of(build, data)  # another process
    assert torch.equal(resumed.train(4), losses_S1[3:])
    _assert_same_lane(resumed, 0, whole, None)


@pytest.mark.parametrize("build", [Plain, Dropping, Normed, Image])
def test_inference_mode_changes_nothing(build):
    data = classification(n_features=64)
    model = model_of(build, data)
    wanted = Lanes(model, data, SEEDS)
    losses_SK, outputs = wanted.train(5), wanted.outputs()
    with torch.inference_mode():
        found = Lanes(model_of(build, data), data, SEEDS)
        assert torch.equal(found.train(5), losses_SK)
        assert torch.equal(found.outputs(), outputs)


def test_lanes_share_a_batch_that_is_given_once():
    data = classification(n_features=64)
    model = model_of(Plain, data)
    for n_lanes in (1, 3):
        one, other = (Lanes(model, data, SEEDS[:n_lanes]) for _ in range(2))
        x_1BF = data.train.x_NF[:16][None]
        target_SKCB = one.loss.targets(data.train.y_N[:16]).float().T[None, None]
        shared = one.stack.take_steps([x_1BF], target_SKCB, one.steps, lambda: None)
        given = other.stack.take_steps(
            [x_1BF.repeat(n_lanes, 1, 1)],
            target_SKCB.repeat(1, n_lanes, 1, 1),
            other.steps,
            lambda: None,
        )
        assert torch.equal(shared, given)
        assert torch.equal(one.rows.gradients_KD, other.rows.gradients_KD)


def test_outputs_of_some_lanes_are_theirs_among_all():
    data = classification(n_features=64)
    group = Lanes(model_of(LayerNormed, data), data, SEEDS)
    group.train(2)
    some = group.stack.outputs(data.validation.x_NF, 1, 3)
    assert torch.equal(some, group.outputs()[1:])
    Metrics(data, group.loss).of([(some, data.validation.y_N)])


def test_training_learns():
    data = classification(n_features=64)
    group = Lanes(model_of(Image, data), data, SEEDS)
    losses_SK = group.train(120)
    assert (losses_SK[-8:].mean(0) < 0.7 * losses_SK[:8].mean(0)).all()


def test_building_leaves_no_trace_in_the_global_generator():
    data = classification(n_features=64)
    before = torch.get_rng_state()
    group = Lanes(model_of(Dropping, data), data, SEEDS)
    group.train(2)
    assert torch.equal(torch.get_rng_state(), before)


def test_initial_values_are_those_of_the_seed():
    data = classification(n_features=64)
    params = resolve({})
    one, same, other = (model_of(Plain, data).fresh(params, seed) for seed in (1, 1, 2))
    for name, value in one.parameters.items():
        assert torch.equal(value, same.parameters[name])
        assert not torch.equal(value, other.parameters[name])


def test_a_parameter_that_is_not_used_stays_as_it_is():
    data = classification(n_features=64)
    group = Lanes(model_of(Unused, data), data, SEEDS)
    group.rows.gradients_KD.fill_(1.0)
    group.train(1)
    idle_K3 = group.model.layout(group.params).by_name(group.rows.parameters_KD)["idle"]
    assert torch.equal(idle_K3, torch.ones(3, 3))


def test_weights_are_what_has_several_dimensions():
    data = classification(n_features=64)
    layout = model_of(Image, data).layout(resolve({}))
    assert [p.name for p in layout.parameters if p.is_weight] == [
        "first.weight",
        "second.weight",
        "last.weight",
    ]
    assert [p.name for p in layout.parameters[3:]] == [
        "first.bias",
        "norm.weight",
        "norm.bias",
        "second.bias",
        "last.bias",
    ]


def test_lanes_share_a_stack_when_all_that_the_callable_takes_is_equal():
    data = classification(n_features=64)

    def own(n_outputs, width, kernel=3, *, depth=1): ...

    def greedy(n_features, **params): ...

    model = model_of(own, data)
    base = resolve({"kernel": 3, "depth": 2})
    assert model.key(base) == (
        "net.py:own batch_size=64 depth=2 kernel=3 precision=float32 width=64"
    )
    for change in ({"learning_rate": 1.0}, {"optimizer": "sgd"}, {"epochs": 3}, {"n_layers": 5}):
        assert model.key(base | change) == model.key(base)
    changes = ({"width": 9}, {"kernel": 5}, {"batch_size": 8}, {"precision": "bfloat16"})
    for change in (*changes, {"depth": 3}):
        assert model.key(base | change) != model.key(base)
    model = model_of(greedy, data)
    assert model.key(base | {"learning_rate": 1.0}) == model.key(base)
    assert model.key(base | {"n_layers": 5}) != model.key(base)


@pytest.mark.parametrize("build", [Plain, Normed, Image, Dropping])
def test_half_precision_is_near_and_its_weights_are_single(build):
    data = classification(n_features=64)
    params = {"precision": "bfloat16"}
    model = model_of(build, data)
    assert model.max_lanes(resolve(params)) is None
    half, single = Lanes(model, data, SEEDS, params), Lanes(model_of(build, data), data, SEEDS)
    losses_SK, wanted_SK = half.train(20), single.train(20)
    assert losses_SK.dtype is half.outputs().dtype is torch.float32
    assert 0 < (losses_SK - wanted_SK).abs().max() < 0.1
    for k, seed in enumerate(SEEDS):
        alone = Lanes(model, data, [seed], params)
        _assert_same(losses_SK[:, k], alone.train(20)[:, 0], 0.05)
