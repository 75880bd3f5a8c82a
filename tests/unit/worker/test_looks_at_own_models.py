"""What is said of a user's model and loss before a study is made."""

import sys

import pytest
import torch

from tuner.messages import Setup
from tuner.study.goal import Goal
from tuner.study.trial import Direction
from tuner.study_file.params.trainer_params import Task, resolve
from tuner.training.data.dataset import Dataset, Split
from tuner.training.losses.built_in import CrossEntropy
from tuner.training.losses.own import OwnLoss
from tuner.worker.bad_code import BadCode
from tuner.worker.kinds.trainer.models import loss_of, metrics_of, model_of
from tuner.worker.kinds.trainer.own_code import check_params, look_at

NET = """\
import torch

n_imports = globals().get("n_imports", 0) + 1

def net(n_features, n_outputs, width, kernel=3):
    return torch.nn.Linear(n_features, n_outputs)

def loss(outputs, y):
    return outputs.square().mean()

def lonely(outputs):
    return outputs.mean()
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "argv", [*sys.argv])
    monkeypatch.delitem(sys.modules, "own_net", raising=False)
    (tmp_path / "own_net.py").write_text(NET)
    yield tmp_path
    sys.modules.pop("own_net", None)


def _own(folder, **changes):
    own = {
        "folder": str(folder),
        "data": None,
        "model": "own_net.py:net",
        "loss": "own_net.py:loss",
    }
    return own | {"params": {}, "searched": ["width"]} | changes


def test_the_files_are_hashed_and_imported_once(folder):
    code = look_at(_own(folder))
    assert list(code) == ["own_net.py"]
    assert len(code["own_net.py"]) == 64
    assert sys.modules["own_net"].n_imports == 1


def test_model_and_loss_find_themselves_as_programs(folder, monkeypatch):
    monkeypatch.delitem(sys.modules, "own_loss", raising=False)
    seen = "import sys\nseen = list(sys.argv), sys.path[0]\n"
    (folder / "own_net.py").write_text(seen + NET)
    (folder / "losses").mkdir()
    (folder / "losses" / "own_loss.py").write_text(seen + NET)
    look_at(_own(folder, loss="losses/own_loss.py:loss"))
    for path in (folder / "own_net.py", folder / "losses" / "own_loss.py"):
        assert sys.modules[path.stem].seen == ([str(path)], str(path.parent))
    del sys.modules["own_loss"]


def _net(n_features, n_outputs, width, kernel=3): ...


def _needs(n_outputs, kernel, *, depth): ...


def _traps(n_outputs, width=16, dropout=0.0): ...


def _takes_all(**params): ...


@pytest.mark.parametrize(
    ("build", "params", "searched"),
    [
        (_net, {}, ["width", "kernel", "learning_rate"]),
        (_net, {"kernel": 5, "epochs": 3}, []),
        (_needs, {"kernel": 5}, ["depth"]),
        (_traps, {"width": 16}, []),
        (_traps, {}, ["width"]),
        (_takes_all, {"anything": None}, ["kernel"]),
    ],
)
def test_params_that_the_model_takes_are_right(build, params, searched):
    check_params(build, "net.py:net", params, searched)


@pytest.mark.parametrize(
    ("build", "params", "searched", "message"),
    [
        (
            _net,
            {},
            ["kernal"],
            "net.py:net takes no parameter kernal; did you mean kernel?",
        ),
        (
            _net,
            {"learning_rat": 0.1},
            [],
            "net.py:net takes no parameter learning_rat; did you mean learning_rate?",
        ),
        (
            _net,
            {},
            ["xyz"],
            "net.py:net takes no parameter xyz; it takes kernel, n_features, n_outputs, width",
        ),
        (
            _net,
            {},
            ["init"],
            "init is for `mlp` and `cnn`, and net.py:net does not take it; remove it",
        ),
        (
            _needs,
            {"kernel": 3},
            [],
            "net.py:net needs depth; add it to params or to search_space",
        ),
        (
            _traps,
            {},
            [],
            "net.py:net has width=16 of its own, but the trainer's 64 would count; "
            "write `params: {width: 16}`",
        ),
    ],
)
def test_params_that_would_not_do_what_they_seem_to_are_refused(build, params, searched, message):
    with pytest.raises(BadCode) as caught:
        check_params(build, "net.py:net", params, searched)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model": "own_net.py:not"},
            "own_net.py has no function not; functions there: net, loss, lonely",
        ),
        (
            {"loss": "own_net.py:lonely"},
            "lonely(outputs) must take two arguments: def lonely(outputs, y)",
        ),
        (
            {"model": "no_such_module_of_ours:net"},
            "importing no_such_module_of_ours failed: ModuleNotFoundError: No module named "
            "'no_such_module_of_ours'",
        ),
    ],
)
def test_code_that_cannot_be_had_is_said(changes, message, folder):
    with pytest.raises(BadCode) as caught:
        look_at(_own(folder, **changes))
    assert str(caught.value).split(" (loading.py")[0] == message


def _setup(folder, **objective):
    return Setup(
        device="cpu",
        n_threads=1,
        objective={"data": {"sklearn": "iris"}, "model": "mlp", **objective},
        fixed={},
        data_folder="",
        data_seed=0,
        goal=Goal(metric="val_loss", direction=Direction.MINIMIZE),
        spool="",
        save_every_seconds=30.0,
        folder=str(folder),
    )


def test_the_trainers_parts_follow_from_the_setup(folder):
    split = Split(x_NF=torch.randn(20, 4), y_N=torch.zeros(20, dtype=torch.int64))
    data = Dataset(
        task=Task.CLASSIFICATION, n_classes=3, target_scale=1.0, train=split, validation=split
    )
    setup = _setup(folder)
    loss = loss_of(setup, data)
    assert isinstance(loss, CrossEntropy)
    found = metrics_of(setup, data, loss).of([(torch.randn(2, 3, 20), split.y_N)])
    assert [list(values) for values in found] == [["val_loss", "val_accuracy"]] * 2
    model = model_of(setup, data, loss)
    half = model.key(resolve({"precision": "bfloat16"}))
    assert "precision=bfloat16" in half
    assert model.key(resolve({})) == "mlp width=64 activation=relu batch_size=64"
    setup = _setup(folder, model="own_net.py:net", loss="own_net.py:loss")
    loss = loss_of(setup, data)
    assert isinstance(loss, OwnLoss)
    model = model_of(setup, data, loss)
    assert model.key(resolve({})) == ("own_net.py:net batch_size=64 precision=float32 width=64")


def test_an_exported_config_holds_the_defaults_of_all_params():
    def net(n_features, n_outputs):
        raise AssertionError("it is not called")

    check_params(net, "net.py:net", resolve({"epochs": 3}), ())
