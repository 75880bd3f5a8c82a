"""Built-in losses against torch's own, with weights of rows and classes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional

from tests.unit.training.recorder import RecorderLane, classification, regression
from tuner.study.goal import Goal
from tuner.study.trial import Direction
from tuner.study_file.kinds.losses import BuiltInLoss
from tuner.training.groups.device_groups import Groups, train
from tuner.training.groups.sizes import FixedSizes
from tuner.training.losses.built_in import loss_of
from tuner.training.losses.smoothing import LabelSmoothing
from tuner.training.mlp.stack import MLP

pytestmark = pytest.mark.usefixtures("one_thread")

THEIRS = {
    "mse": (BuiltInLoss(name="mse"), functional.mse_loss),
    "mae": (BuiltInLoss(name="mae"), functional.l1_loss),
    "huber": (BuiltInLoss(name="huber"), functional.huber_loss),
    "a narrow huber": (
        BuiltInLoss(name="huber", delta=0.2),
        lambda x, y, **rest: functional.huber_loss(x, y, delta=0.2, **rest),
    ),
}


def _weighted(data):
    """The same data with weights of rows whose mean is 1."""
    weight_N = torch.rand(data.train.n_rows, generator=torch.Generator().manual_seed(3)) + 0.1
    weight_N = (weight_N / weight_N.mean()).to(data.train.x_NF.dtype)
    return replace(data, train=replace(data.train, weight_N=weight_N))


def _compare(data, loss, wanted_of, shares=(0.0, 0.0)):
    """Losses and gradients of a batch of two lanes; `wanted_of` gives losses (B,) of outputs."""
    rows = slice(10, 42)
    weight_N = data.train.weight_N
    y_B, weight_B = data.train.y_N[rows], None if weight_N is None else weight_N[rows]
    targets = loss.targets(y_B, weight_B).to(torch.float64)
    target_KCB = targets.T[None].expand(2, -1, -1).contiguous()
    if any(shares):
        target_KCB = LabelSmoothing(shares, target_KCB).of(target_KCB[None])[0]
    generator = torch.Generator().manual_seed(1)
    shape = (2, data.n_outputs, len(y_B))
    output_KCB = torch.randn(shape, generator=generator, dtype=torch.float64)
    kept, found = torch.empty_like(output_KCB), torch.empty_like(output_KCB)
    loss.gradient(output_KCB, target_KCB, kept=kept, out=found)
    losses_K = loss.of_steps(kept[None], target_KCB[None])[0]
    for k in range(2):
        leaf_CB = output_KCB[k].clone().requires_grad_()
        losses_B = wanted_of(leaf_CB, y_B, shares[k])
        wanted = (losses_B if weight_B is None else losses_B * weight_B).mean()
        wanted.backward()
        assert losses_K[k].item() == pytest.approx(wanted.item(), abs=1e-12)
        assert torch.allclose(found[k], leaf_CB.grad, atol=1e-12)


@pytest.mark.parametrize("name", THEIRS)
@pytest.mark.parametrize("change", [lambda data: data, _weighted], ids=["plain", "weighted"])
def test_losses_of_regression_are_torchs(name, change):
    data = change(regression(dtype=torch.float64))
    asked, theirs = THEIRS[name]

    def wanted(output_CB, y_B, share):
        return theirs(output_CB[0], y_B, reduction="none")

    loss = loss_of(data, asked)
    _compare(data, loss, wanted)
    output_KCN = torch.randn(3, 1, data.validation.n_rows, dtype=torch.float64)
    sums_K = loss.plain_sums(output_KCN, data.validation.y_N)
    for k in range(3):
        plain = theirs(output_KCN[k, 0], data.validation.y_N, reduction="sum")
        assert sums_K[k].item() == pytest.approx(plain.item())


@pytest.mark.parametrize("class_weight", ["none", "balanced"])
@pytest.mark.parametrize("change", [lambda data: data, _weighted], ids=["plain", "weighted"])
@pytest.mark.parametrize("shares", [(0.0, 0.0), (0.0, 0.3)])
def test_cross_entropy_is_torchs(class_weight, change, shares):
    data = change(classification(dtype=torch.float64))
    y_N = data.train.y_N.numpy()
    of_class = torch.ones(3, dtype=torch.float64)
    if class_weight == "balanced":
        of_class = torch.from_numpy(compute_class_weight("balanced", classes=np.arange(3), y=y_N))

    def wanted(output_CB, y_B, share):
        losses_B = functional.cross_entropy(
            output_CB.T, y_B, reduction="none", label_smoothing=share
        )
        return losses_B * of_class[y_B]

    loss = loss_of(data, BuiltInLoss(name="cross_entropy", class_weight=class_weight))
    _compare(data, loss, wanted, shares)
    output_KCN = torch.randn(2, 3, data.validation.n_rows, dtype=torch.float64)
    sums_K = loss.plain_sums(output_KCN, data.validation.y_N)
    for k in range(2):
        plain = functional.cross_entropy(output_KCN[k].T, data.validation.y_N, reduction="sum")
        assert sums_K[k].item() == pytest.approx(plain.item())


def test_balanced_weights_have_the_mean_1_over_the_training_rows():
    data = classification(dtype=torch.float64)
    loss = loss_of(data, BuiltInLoss(name="cross_entropy", class_weight="balanced"))
    weights_N = -loss.targets(data.train.y_N).sum(1)
    assert weights_N.mean().item() == pytest.approx(1)
    assert len(set(weights_N.tolist())) == 3


def _run(data, loss, lanes):
    goal = Goal(metric="val_loss", direction=Direction.MINIMIZE)
    model, sizes = MLP(data.n_features, data.n_outputs, loss), FixedSizes(64)
    list(train(Groups(model, data, loss, data_seed=5, goal=goal, sizes=sizes), lanes))


CASES = [
    (classification, BuiltInLoss(name="cross_entropy", class_weight="balanced")),
    (regression, BuiltInLoss(name="huber", delta=0.5)),
    (regression, BuiltInLoss(name="mae")),
]


@pytest.mark.parametrize(("make", "asked"), CASES)
def test_a_lane_with_weights_has_its_bits_in_any_company_and_learns(make, asked):
    data = _weighted(make(n_features=64))
    loss = loss_of(data, asked)
    together = [
        RecorderLane(n, n_layers=1 + n, width=24, epochs=4, learning_rate=0.01) for n in range(3)
    ]
    _run(data, loss, together)
    for n, grouped in enumerate(together):
        alone = RecorderLane(n, n_layers=1 + n, width=24, epochs=4, learning_rate=0.01)
        _run(data, loss, [alone])
        assert alone.curve == grouped.curve
        assert alone.curve[4]["train_loss"] < 0.97 * alone.curve[1]["train_loss"]
    plain = RecorderLane(0, n_layers=1, width=24, epochs=4, learning_rate=0.01)
    _run(make(n_features=64), loss_of(data), [plain])
    assert plain.curve != together[0].curve
