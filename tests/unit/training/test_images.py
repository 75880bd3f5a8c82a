"""Images: the convolutional network, random changes, and rows that are stored as bytes."""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from tests.unit.training.recorder import RecorderLane
from tuner.study.goal import Goal
from tuner.study.trial import Direction
from tuner.study_file.params.trainer_params import Task, resolve
from tuner.training.augmentation import Augmentation
from tuner.training.cnn.module import cnn_module, initialize_cnn
from tuner.training.data.dataset import ByteScale, Dataset, Split
from tuner.training.final.model_card import ModelCard, TensorHead, check_heads
from tuner.training.groups.device_groups import Groups, train
from tuner.training.groups.sizes import FixedSizes
from tuner.training.losses.built_in import loss_of
from tuner.training.modules.kind import ModuleModel

pytestmark = pytest.mark.usefixtures("one_thread")
SHAPE = (2, 9, 8)
PARAMS = {"epochs": 3, "batch_size": 16, "width": 10, "channels": 3, "learning_rate": 0.01}


def _images(n_train: int = 90, dtype: torch.dtype = torch.float32) -> Dataset:
    """Bright spots on the left or on the right."""
    generator = torch.Generator().manual_seed(3)
    n_rows = n_train + 40
    y_N = torch.randint(0, 2, (n_rows,), generator=generator)
    x_NCHW = torch.randint(0, 120, (n_rows, *SHAPE), generator=generator, dtype=torch.uint8)
    for row, label in enumerate(y_N.tolist()):
        x_NCHW[row, :, 3:6, 1 + 4 * label : 3 + 4 * label] += 120
    x_NF = x_NCHW.flatten(1)
    scale = ByteScale(mean_F=torch.full((144,), 60.0), scale_F=torch.full((144,), 40.0))
    as_bytes = {"byte_scale": scale} if dtype is torch.float32 else {}
    features = x_NF if as_bytes else (x_NF.to(dtype) - 60) / 40
    return Dataset(
        task=Task.CLASSIFICATION,
        n_classes=2,
        target_scale=1.0,
        train=Split(x_NF=features[:n_train], y_N=y_N[:n_train], **as_bytes),
        validation=Split(x_NF=features[n_train:], y_N=y_N[n_train:], **as_bytes),
        shape=SHAPE,
    )


def _run(lanes: list[RecorderLane], data: Dataset, n_lanes: int = 8) -> None:
    loss = loss_of(data)
    assert data.shape is not None
    build = partial(cnn_module, shape=data.shape)
    model = ModuleModel(build, data, loss, name="cnn", initialize=initialize_cnn)
    goal, sizes = Goal(metric="val_loss", direction=Direction.MINIMIZE), FixedSizes(n_lanes)
    list(train(Groups(model, data, loss, data_seed=5, goal=goal, sizes=sizes), lanes))


def _losses(lane: RecorderLane) -> list[float]:
    return [values[name] for values in lane.curve.values() for name in ("train_loss", "val_loss")]


def test_it_learns_what_it_sees() -> None:
    lane = RecorderLane(0, **{**PARAMS, "epochs": 8}, dropout=0.1)
    _run([lane], _images())
    assert lane.curve[max(lane.curve)]["val_accuracy"] > 0.9


@pytest.mark.parametrize("names", [(), ("flip", "crop")])
def test_lanes_at_once_equal_each_alone_to_rounding(names: tuple[str, ...]) -> None:
    """In float64 the rounding is far below the tolerance of the page, 1e-3."""
    data = replace(_images(dtype=torch.float64), augment=names)
    rates = [{"learning_rate": 0.01 / (n + 1), "dropout": 0.2} for n in range(3)]
    together = [RecorderLane(n, **{**PARAMS, **rate}) for n, rate in enumerate(rates)]
    _run(together, data)
    for lane, rate in zip(together, rates, strict=True):
        alone = RecorderLane(lane.number, **{**PARAMS, **rate})
        _run([alone], data, n_lanes=1)
        assert _losses(lane) == pytest.approx(_losses(alone), rel=1e-9)


@pytest.mark.parametrize("names", [("flip",), ("crop",), ("flip", "crop")])
def test_a_resume_sees_the_same_images(names: tuple[str, ...], tmp_path: Any) -> None:
    data = replace(_images(), augment=names)
    whole = RecorderLane(0, spool=tmp_path, **PARAMS)
    _run([whole], data)
    resumed = RecorderLane(0, spool=tmp_path, checkpoint=whole.files[1], **PARAMS)
    late = RecorderLane(1, spool=tmp_path, **PARAMS)
    _run([resumed], data)
    assert _losses(resumed) == _losses(whole)[2:]
    both = [RecorderLane(0, spool=tmp_path, checkpoint=whole.files[1], **PARAMS), late]
    _run(both, data)
    assert _losses(both[0]) == pytest.approx(_losses(whole)[2:], rel=1e-4)


def test_changes_make_another_training() -> None:
    plain, changed = RecorderLane(0, **PARAMS), RecorderLane(0, **PARAMS)
    _run([plain], _images())
    _run([changed], replace(_images(), augment=("crop",)))
    assert _losses(plain) != _losses(changed)


def test_bytes_train_as_the_numbers_that_they_stand_for() -> None:
    data = _images()
    features = {
        name: Split(x_NF=split.inputs().contiguous(), y_N=split.y_N)
        for name, split in (("train", data.train), ("validation", data.validation))
    }
    lanes = [RecorderLane(0, **PARAMS), RecorderLane(0, **PARAMS)]
    _run([lanes[0]], data)
    _run([lanes[1]], replace(data, **features))
    assert _losses(lanes[0]) == _losses(lanes[1])
    index = torch.tensor([[3, 1], [0, 2]])
    assert torch.equal(data.train.inputs(index), features["train"].x_NF[index])
    assert data.train.like.dtype is torch.float32


def test_a_change_moves_or_mirrors_whole_images() -> None:
    x_1NF = torch.arange(1.0, 1 + 50 * 144).reshape(1, 50, 144)
    images = x_1NF.reshape(50, *SHAPE)
    flipped = Augmentation(("flip",), SHAPE, 4).epoch([0], 50, torch.device("cpu"))(x_1NF, 0)
    is_same = [bool((a == b).all()) for a, b in zip(flipped[0], x_1NF[0], strict=True)]
    mirrored = images.flip(3).flatten(1)
    assert all(
        same or torch.equal(a, b) for same, a, b in zip(is_same, flipped[0], mirrored, strict=True)
    )
    assert 10 < sum(is_same) < 40
    cropped = Augmentation(("crop",), SHAPE, 4).epoch([0], 50, torch.device("cpu"))(x_1NF, 0)
    seen = set()
    for before, after in zip(images, cropped[0].reshape(images.shape), strict=True):
        moves = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]
        padded = torch.nn.functional.pad(before, (1, 1, 1, 1))
        fits = [
            (y, x) for y, x in moves if torch.equal(after, padded[:, 1 + y : 10 + y, 1 + x : 9 + x])
        ]
        assert len(fits) == 1
        seen.add(fits[0])
    assert len(seen) > 6


def test_changes_depend_on_epoch_and_place_alone() -> None:
    x = torch.randn(1, 30, 144, generator=torch.Generator().manual_seed(1))
    kind = Augmentation(("flip", "crop"), SHAPE, 4)
    cpu = torch.device("cpu")
    whole = kind.epoch([2], 30, cpu)(x, 0)
    parts = [kind.epoch([2], 30, cpu)(x[:, a:b], a) for a, b in ((0, 7), (7, 30))]
    assert torch.equal(torch.cat(parts, 1), whole)
    both = kind.epoch([2, 3], 30, cpu)(x.expand(2, -1, -1), 0)
    assert torch.equal(both[0], whole[0])
    assert not torch.equal(both[1], whole[0])


@pytest.mark.parametrize(
    ("channels", "expected"),
    [(16, [16, 32, 64, 128, 256, 512, 1024, 1024]), (600, [600, 1024, 1024]), (3000, [3000, 3000])],
)
def test_channels_double_up_to_a_bound(channels: int, expected: list[int]) -> None:
    with torch.device("meta"):
        module = cnn_module(
            64, 2, shape=(1, 8, 8), channels=channels, n_layers=len(expected), width=4,
            activation="relu", dropout=0.0,
        )  # fmt: skip
    assert [conv.out_channels for conv in module.conv] == expected


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 5, 9), (2, 1, 4), (1, 28, 28)])
@pytest.mark.parametrize("n_layers", [0, 1, 3, 5])
def test_the_card_knows_the_shapes_of_the_module(shape: Any, n_layers: int) -> None:
    params = resolve({"n_layers": n_layers, "channels": 400, "width": 7})
    n_features = int(np.prod(shape))
    names = ("n_layers", "channels", "width", "activation", "dropout")
    module = cnn_module(n_features, 3, shape=shape, **{name: params[name] for name in names})
    assert module(torch.zeros(2, n_features)).shape == (2, 3)
    card = ModelCard(
        model="cnn", params=params, seed=1, task=Task.CLASSIFICATION, n_features=n_features,
        n_outputs=3, target_mean=0.0, target_scale=1.0, classes=("a", "b", "c"), features=(),
        shape=shape,
    )  # fmt: skip
    heads = {n: TensorHead(dtype="F32", shape=tuple(p.shape)) for n, p in module.named_parameters()}
    check_heads(card, heads)
    with pytest.raises(ValueError, match="another model"):
        check_heads(card, heads | {"more": TensorHead(dtype="F32", shape=(1,))})


@pytest.mark.parametrize("init", ["torch", "kaiming", "xavier", "orthogonal"])
def test_initial_values_are_those_of_torch(init: str) -> None:
    params = resolve({"n_layers": 2, "width": 40, "init": init})
    module = cnn_module(
        144, 3, shape=SHAPE, channels=64, n_layers=2, width=40, activation="relu", dropout=0.0
    )
    initialize_cnn(module, params, seed=3)
    weight = module.conv[1].weight  # type: ignore[union-attr]
    like = torch.nn.Conv2d(64, 128, 3)
    with torch.no_grad():
        if init == "kaiming":
            torch.nn.init.kaiming_uniform_(like.weight, nonlinearity="relu")
        elif init == "xavier":
            torch.nn.init.xavier_uniform_(like.weight)
        elif init == "orthogonal":
            torch.nn.init.orthogonal_(like.weight, gain=2**0.5)
    assert isinstance(weight, torch.Tensor)
    stds = [float(each.detach().std()) for each in (weight, like.weight)]
    assert stds[0] == pytest.approx(stds[1], rel=0.02)
    again = cnn_module(
        144, 3, shape=SHAPE, channels=64, n_layers=2, width=40, activation="relu", dropout=0.0
    )
    initialize_cnn(again, params, seed=3)
    pairs = zip(module.parameters(), again.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
