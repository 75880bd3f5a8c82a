"""How many threads a step has use for: decided by the kind of model, whoever shares its stack."""

from collections.abc import Iterator

import pytest
import torch

from tests.unit.training.recorder import RecorderLane, classification, run
from tuner.training.groups.group import Group
from tuner.training.groups.sizes import Measurement
from tuner.training.losses.built_in import loss_of
from tuner.training.mlp.stack import MLP

SMALL = {"width": 24, "batch_size": 16}
LARGE = {"width": 2048, "batch_size": 8}


@pytest.fixture(autouse=True)
def three_threads() -> Iterator[None]:
    n_threads = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """The numbers of threads with which steps were taken."""
    found: set[int] = set()
    update = Group.update

    def spy(group: Group) -> None:
        found.add(torch.get_num_threads())
        update(group)

    monkeypatch.setattr(Group, "update", spy)
    return found


@pytest.mark.parametrize(("params", "n_threads"), [(SMALL, 1), (LARGE, 3)])
@pytest.mark.parametrize("n_lanes", [1, 2])
def test_a_small_model_trains_on_one_thread_and_a_large_one_on_all(
    params, n_threads, n_lanes, seen
):
    run([RecorderLane(n, epochs=1, n_layers=2, **params) for n in range(n_lanes)], classification())
    assert seen == {n_threads}
    assert torch.get_num_threads() == 3, "what else the process does has all of them"


@pytest.mark.parametrize("n_layers", [0, 1])
@pytest.mark.parametrize("name", ["width", "n_layers"])
def test_lanes_of_one_kind_agree(n_layers, name):
    model = MLP(n_features=10, n_outputs=3, loss=loss_of(classification()))
    lane = {**SMALL, "batch_size": 16384, "n_layers": n_layers}
    seen: dict[str, set[bool]] = {}
    for value in (1, 2, 64, 4096):
        params = RecorderLane(0, **{**lane, name: value}).params
        seen.setdefault(model.key(params), set()).add(model.is_small(params))
    assert all(len(answers) == 1 for answers in seen.values())


def test_many_classes_are_a_large_model():
    model = MLP(n_features=10, n_outputs=10_000, loss=loss_of(classification()))
    assert not model.is_small(RecorderLane(0, width=64, batch_size=512, n_layers=2).params)
    assert model.is_small(RecorderLane(0, width=64, batch_size=16, n_layers=2).params)


def test_the_number_of_threads_does_not_change_a_small_models_bits():
    data = classification()
    with_three, with_one = (RecorderLane(0, epochs=3, **SMALL) for _ in range(2))
    run([with_three], data)
    torch.set_num_threads(1)
    run([with_one], data)
    assert with_three.curve == with_one.curve


@pytest.mark.parametrize(("params", "n_threads"), [(SMALL, 1), (LARGE, 3)])
def test_lanes_are_measured_as_they_will_train(params, n_threads, seen):
    data = classification()
    loss = loss_of(data)
    model = MLP(data.n_features, data.n_outputs, loss)
    Measurement(data, loss, most=2)(model, RecorderLane(0, **params).params, 1)
    assert seen == {n_threads}
    assert torch.get_num_threads() == 3
