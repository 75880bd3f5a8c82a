"""Dropout of user modules: the masks of the built-in model, under vmap and without it."""

import pytest
import torch

from tuner.training.modules.addressed_dropout import AddressedDropout, DropoutKeys, replace_dropouts
from tuner.training.randomness import DropoutMasks

LIKE = torch.zeros(1)
SEEDS = [1, 2, 99]


def _keys(names, seeds=SEEDS, n_steps=3, first_steps=None):
    first_steps_K = torch.tensor(first_steps or [0] * len(seeds))
    return DropoutKeys(seeds, names, torch.device("cpu")).of_steps(first_steps_K, n_steps)


def _mask(layer, key, shape):
    layer.begin_step()
    layer.key.copy_(key)
    return layer(torch.ones(shape))


def test_the_masks_are_those_of_the_built_in_model():
    rate, first_steps = 0.3, [0, 5, 2**40]
    masks = DropoutMasks(SEEDS, [rate] * 3, n_layers=2, n_steps=3, batch=16, width=24, like=LIKE)
    masks.fill(torch.tensor(first_steps))
    keys_SLK = _keys([0, 1], first_steps=first_steps)  # its layers are numbered
    layer = AddressedDropout(rate, 0)
    for step in range(3):
        for number in range(2):
            for k in range(len(SEEDS)):
                mask = _mask(layer, keys_SLK[step, number, k], (16, 24))
                assert torch.equal(mask, masks.by_step[step][number][k])


def test_many_lanes_at_once_have_the_masks_of_each_alone():
    (keys_LK,) = _keys(["drop"], n_steps=1)
    layer = AddressedDropout(0.5, 0)

    def one_lane(key, x):
        layer.begin_step()
        return torch.func.functional_call(layer, {"key": key}, (x,))

    together = torch.vmap(one_lane)(keys_LK[0], torch.ones(3, 8, 12))
    for k in range(3):
        assert torch.equal(together[k], _mask(layer, keys_LK[0, k], (8, 12)))


def test_a_layer_that_is_called_twice_draws_other_elements():
    layer = AddressedDropout(0.5, 0)
    layer.key.copy_(_keys(["drop"])[0, 0, 0])
    first, second = layer(torch.ones(8, 12)), layer(torch.ones(8, 12))
    assert not torch.equal(first, second)
    layer.begin_step()
    assert torch.equal(torch.cat([first, second]), layer(torch.ones(16, 12)))


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_a_channel_falls_as_a_whole(dims):
    kind = (torch.nn.Dropout1d, torch.nn.Dropout2d, torch.nn.Dropout3d)[dims - 1]
    module = torch.nn.Sequential(kind(0.5))
    layer = replace_dropouts(module)["0"]
    shape = (20, 10, *[3] * dims)
    layer.key.copy_(_keys(["0"])[0, 0, 0])
    dropped = module(torch.ones(shape)).flatten(2)
    assert torch.equal(dropped.amin(2), dropped.amax(2))
    assert {0.0, 2.0} == set(dropped.unique().tolist())
    assert 60 < int((dropped[..., 0] > 0).sum()) < 140


def test_every_dropout_is_replaced_wherever_it_stands():
    shared = torch.nn.Dropout(0.2)
    inner = torch.nn.ModuleDict({"a": shared, "b": torch.nn.Dropout2d(0.4)})
    module = torch.nn.ModuleList([inner, shared, torch.nn.Linear(2, 2)])
    found = replace_dropouts(module)
    assert {name: layer.rate for name, layer in found.items()} == {"0.a": 0.2, "0.b": 0.4}
    assert module[1] is module[0]["a"] is found["0.a"]


def test_nothing_falls_in_validation_and_everything_at_a_rate_of_one():
    x = torch.randn(4, 5)
    assert torch.equal(AddressedDropout(0.5, 0).eval()(x), x)
    assert torch.equal(AddressedDropout(0.0, 0)(x), x)
    assert torch.equal(AddressedDropout(1.0, 0)(x), torch.zeros(4, 5))
