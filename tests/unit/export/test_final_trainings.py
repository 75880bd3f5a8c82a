"""The final training in this process: its order, its bits, what goes on and what is refused."""

import json
import os
import stat
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.data_requests import data_request
from tests.unit.export.configs import make_config
from tests.unit.training.recorder import RecorderLane
from tuner.errors import RunFailed, UsageError
from tuner.export.final_lane import Told
from tuner.export.final_training import train_final
from tuner.export.train_options import Rows, TrainOptions
from tuner.study.goal import Goal
from tuner.study.trial import Direction
from tuner.study_file.best import Weights
from tuner.study_file.data.sources import CsvData
from tuner.study_file.kinds.function import FunctionObjective
from tuner.study_file.kinds.trainer import TrainerObjective
from tuner.training.checkpoint import save_checkpoint
from tuner.training.data import dataset as data_module
from tuner.training.data.dataset import load_dataset
from tuner.training.data.preparing import prepare
from tuner.training.groups.device_groups import Groups, train
from tuner.training.groups.sizes import FixedSizes
from tuner.training.losses.built_in import loss_of
from tuner.training.mlp.stack import MLP

pytestmark = pytest.mark.usefixtures("one_thread", "home")
FILES = ["config.yaml", "curves.html", "metrics.json", "model-card.md", "model.safetensors"]


@pytest.fixture
def one_thread():
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture(scope="module")
def data_home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def home(data_home, monkeypatch):
    monkeypatch.setenv("TUNER_HOME", str(data_home))


class Heard:
    """What was told; asks to stop after a step."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.stop = threading.Event()
        self.steps: list[Told] = []
        self.texts: list[str] = []
        self._stop_after = stop_after

    def __call__(self, news: Told | str) -> None:
        if isinstance(news, str):
            self.texts.append(news)
            return
        self.steps.append(news)
        if news.step == self._stop_after:
            self.stop.set()


def _train(folder: Path, config=None, heard=None, source=None, **options):
    heard = heard or Heard()
    wanted = TrainOptions(output=folder, device="cpu", **options)
    return train_final(config or make_config(), source or folder.parent, wanted, heard.stop, heard)


def _curve(trained) -> dict[int, dict[str, float]]:
    return {
        int(step): {n: v for n, v in values.items() if n != "seconds"}
        for step, values in trained.metrics["curve"].items()
    }


def _trial(config) -> RecorderLane:
    """The same trial in company, as a worker of the search trains it."""
    data = load_dataset(
        prepare(data_request({"sklearn": "digits"}), Path(os.environ["TUNER_HOME"], "data")).folder,
        "cpu",
    )
    loss = loss_of(data)
    model = MLP(data.n_features, data.n_outputs, loss)
    lanes = [RecorderLane(n, **{**config.params, "learning_rate": 0.01 * n}) for n in (1, 2)]
    mine = RecorderLane(0, **config.params)
    mine.seed = config.seed
    goal = Goal(metric="val_loss", direction=Direction.MINIMIZE)
    groups = Groups(model, data, loss, data_seed=config.data_seed, goal=goal, sizes=FixedSizes(4))
    list(train(groups, [lanes[0], mine, lanes[1]]))
    return mine


def test_the_curve_has_the_bits_of_the_trial_and_the_folder_is_whole(tmp_path):
    config = make_config()
    trained = _train(tmp_path / "out", config)
    assert _curve(trained) == _trial(config).curve
    assert sorted(path.name for path in trained.folder.iterdir()) == FILES
    assert {stat.S_IMODE(path.stat().st_mode) for path in trained.folder.iterdir()} == {0o600}
    assert stat.S_IMODE(trained.folder.stat().st_mode) == 0o700
    metrics = json.loads((trained.folder / "metrics.json").read_text())
    best = min(_curve(trained).values(), key=lambda values: values["val_loss"])
    assert metrics["validation"]["val_loss"] == pytest.approx(best["val_loss"], rel=1e-5)
    assert metrics["test"]["rows"] == 270
    assert 0.5 < metrics["test"]["accuracy"] <= 1
    assert "no value" not in (trained.folder / "model-card.md").read_text()


def test_a_training_that_was_stopped_goes_on_to_the_same_bits(tmp_path):
    whole = _train(tmp_path / "whole")
    heard = Heard(stop_after=2)
    stopped = _train(tmp_path / "parts", heard=heard)
    assert (dict(stopped.metrics), stopped.step) == ({}, 2)
    assert not (tmp_path / "parts" / "model.safetensors").exists()
    heard = Heard()
    resumed = _train(tmp_path / "parts", heard=heard)
    assert [told.step for told in heard.steps] == [3]
    assert "continues from step 2" in heard.texts[0]
    assert _curve(resumed) == _curve(whole)
    for name in ("model.safetensors", "config.yaml"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    heard = Heard()
    third = _train(tmp_path / "parts", heard=heard)
    assert third.was_done
    assert heard.steps == []


def test_the_test_split_is_opened_once_after_the_last_epoch(tmp_path, monkeypatch):
    opened, real = [], np.load
    heard = Heard()

    def watch(path, **how):
        opened.append((Path(path).name, len(heard.steps)))
        return real(path, **how)

    monkeypatch.setattr(data_module.np, "load", watch)
    _train(tmp_path / "out", heard=heard)
    test = [(name, n) for name, n in opened if name.startswith("test")]
    assert test == [("test_x.npy", 3), ("test_y.npy", 3)]
    assert len([name for name, _ in opened if name.startswith("train")]) >= 2


def test_data_are_found_and_prepared_where_the_variables_of_this_machine_say(tmp_path, monkeypatch):
    """The user's code sees none of them, but it starts after the data are found."""
    (tmp_path / "disk").mkdir()
    rows = "".join(f"{number},{number % 2}\n" for number in range(60))
    (tmp_path / "disk" / "a.csv").write_text(f"x,y\n{rows}")
    monkeypatch.setenv("TUNER_DATA", str(tmp_path / "disk"))
    monkeypatch.setenv("TUNER_HOME", str(tmp_path / "home"))
    objective = TrainerObjective(data=CsvData(csv="a.csv", target="y"), model="mlp")
    trained = _train(tmp_path / "out", make_config(objective=objective, provenance={}))
    assert trained.metrics["test"]["rows"] == 9
    assert len([*(tmp_path / "home" / "data").glob("*/meta.json")]) == 1


def test_train_and_validation_rows_are_trained_on_for_the_best_epoch(tmp_path):
    trained = _train(tmp_path / "out", rows=Rows.BOTH)
    curve = _curve(trained)
    assert list(curve) == [1, 2], "the best epoch of the search is 2"
    assert all(set(values) == {"train_loss"} for values in curve.values())
    assert (trained.metrics["epoch"], trained.metrics["validation"]) == (2, None)
    assert trained.metrics["compared"] is None
    with pytest.raises(UsageError, match="another config"):
        _train(tmp_path / "out")
    with pytest.raises(UsageError, match="best_epoch"):
        _train(tmp_path / "other", make_config(best_epoch=None), rows=Rows.BOTH)


def _weights_of(lane: RecorderLane, folder: Path) -> Weights:
    """A trial's own weights as an export writes them."""
    assert lane.kept is not None
    _, state = lane.kept
    file = save_checkpoint(folder, "mine", {"structure": state["structure"], **state["best"]})
    return Weights(file=file.path.name, sha256=file.sha256)


def test_the_better_weights_on_the_validation_split_are_delivered_and_said(tmp_path):
    long = make_config(params={**make_config().params, "epochs": 9})
    weights = _weights_of(_trial(long), tmp_path)
    short = make_config(seed=77, weights=weights)
    trained = _train(tmp_path / "old", short)
    assert trained.metrics["delivered"] == "the exported weights"
    compared = trained.metrics["compared"]
    assert compared["the exported weights"] < compared["this training"]
    assert "Delivered are the weights of the exported weights" in (
        (trained.folder / "model-card.md").read_text()
    )
    weak = _weights_of(_trial(make_config(params={**short.params, "epochs": 1})), tmp_path)
    trained = _train(tmp_path / "new", long.model_copy(update={"weights": weak}))
    assert trained.metrics["delivered"] == "this training"


def test_from_weights_goes_on_from_them(tmp_path):
    config = make_config(params={**make_config().params, "epochs": 9})
    weights = _weights_of(_trial(config), tmp_path)
    one_more = make_config(params={**config.params, "epochs": 1}, weights=weights)
    anew = _curve(_train(tmp_path / "anew", one_more))
    on = _curve(_train(tmp_path / "on", one_more, from_weights=True))
    assert on[1]["train_loss"] < 0.5 * anew[1]["train_loss"]
    with pytest.raises(UsageError, match="names no weights"):
        _train(tmp_path / "none", make_config(), from_weights=True)


def test_weights_that_are_damaged_or_of_another_model_are_refused(tmp_path):
    weights = _weights_of(_trial(make_config()), tmp_path)
    other = make_config(params={**make_config().params, "width": 20}, weights=weights)
    with pytest.raises(RunFailed, match=r"another model|does not fit"):
        _train(tmp_path / "other", other, from_weights=True)
    file = tmp_path / weights.file
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(RunFailed, match="its sha256 differs"):
        _train(tmp_path / "damaged", make_config(weights=weights))


@pytest.mark.parametrize(
    "changes",
    [
        {"weights": 3},
        {"weights": {}},
        {"weights": {"output.bias": [1.0]}},
        {"weights": {"output.bias": torch.full((1, 3), torch.nan)}},
        {"buffers": None},
        {"step": "x"},
        {"structure": {}},
    ],
    ids=str,
)
@pytest.mark.parametrize("from_weights", [True, False])
def test_prepared_weights_are_one_sentence(tmp_path, changes, from_weights):
    _, state = _trial(make_config()).kept
    tree = {"structure": state["structure"], **state["best"]}
    tree |= {k: {**tree[k], **v} if v and isinstance(v, dict) else v for k, v in changes.items()}
    file = save_checkpoint(tmp_path, "mine", tree)
    config = make_config(weights=Weights(file=file.path.name, sha256=file.sha256))
    with pytest.raises(RunFailed) as refused:
        _train(tmp_path / "out", config, from_weights=from_weights)
    assert str(refused.value).isprintable()


def test_other_data_than_the_studys_are_refused(tmp_path):
    provenance = {**make_config().provenance, "data_fingerprint": "0" * 64}
    with pytest.raises(RunFailed, match="not the study's"):
        _train(tmp_path / "out", make_config(provenance=provenance))


def test_a_diverging_training_is_one_sentence_and_leaves_no_model(tmp_path):
    config = make_config(params={**make_config().params, "learning_rate": 1e30})
    with pytest.raises(RunFailed, match=r"the final training failed: .* at step 1"):
        _train(tmp_path / "out", config)
    assert not (tmp_path / "out" / "model.safetensors").exists()


def test_folders_of_others_are_left_alone(tmp_path):
    (tmp_path / "full").mkdir(mode=0o700)
    (tmp_path / "full" / "thesis.tex").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        _train(tmp_path / "full")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match="is a file"):
        _train(tmp_path / "file")
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o777)
    with pytest.raises(UsageError, match="chmod 700"):
        _train(tmp_path / "shared")


def test_a_full_disk_at_the_end_is_one_sentence_and_the_training_is_not_lost(tmp_path, monkeypatch):
    from tuner.export import artifact

    def no_room(*_, **__):
        raise RunFailed("cannot write model.safetensors (No space left on device)")

    monkeypatch.setattr(artifact, "write_whole", no_room)
    with pytest.raises(RunFailed, match="No space left"):
        _train(tmp_path / "out")
    monkeypatch.undo()
    monkeypatch.setenv("TUNER_HOME", os.environ.get("TUNER_HOME", str(tmp_path)))
    heard = Heard()
    assert _train(tmp_path / "out", heard=heard).metrics
    assert heard.steps == [], "every epoch was saved"


FUNCTION = """\
import random, torch
def train(trial):
    state = trial.checkpoint.load() or {"epoch": 0, "w": torch.zeros(2)}
    print("user code prints")
    for epoch in range(state["epoch"] + 1, trial.params["epochs"] + 1):
        state = {"epoch": epoch, "w": state["w"] + trial.params["x"]}
        trial.report(step=epoch, val_loss=1 / epoch)
        trial.checkpoint.save(state)
"""


def _function_config(**params):
    return make_config(
        objective=FunctionObjective(function="train.py:train"), params={"x": 0.5, **params}
    )


def test_a_function_is_called_with_the_exported_params_and_its_state_is_the_model(tmp_path, capsys):
    from tuner import load_state

    (tmp_path / "train.py").write_text(FUNCTION)
    config = _function_config(epochs=4)
    stopped = _train(tmp_path / "out", config, Heard(stop_after=2))
    assert stopped.step == 2
    heard = Heard()
    trained = _train(tmp_path / "out", config, heard)
    assert [told.step for told in heard.steps] == [3, 4]
    assert (trained.metrics["value"], trained.metrics["checkpoint_step"]) == (0.25, 4)
    state = load_state(tmp_path / "out")
    assert (state["epoch"], state["w"].tolist()) == (4, [2.0, 2.0])
    assert (tmp_path / "out" / "train.py").read_text() == FUNCTION
    assert "user code prints" not in capsys.readouterr().out


BEST_THEN_WORSE = """\
def train(trial):
    state = trial.checkpoint.load() or {"epoch": 0}
    for epoch in range(state["epoch"] + 1, trial.params["epochs"] + 1):
        trial.report(step=epoch, val_loss=abs(epoch - 3) + 1)
        trial.checkpoint.save({"epoch": epoch})
"""
TEST = """
def test(trial):
    return {"accuracy": trial.checkpoint.load()["epoch"] / 4, "seen": trial.step}
"""


@pytest.mark.parametrize("stop_after", [None, 2, 4, 5])
def test_the_best_state_is_delivered_and_tested_after_any_interruption(tmp_path, stop_after):
    from tuner import load_state

    (tmp_path / "train.py").write_text(BEST_THEN_WORSE + TEST)
    config = _function_config(epochs=6)
    if stop_after is not None:
        assert _train(tmp_path / "out", config, Heard(stop_after)).step == stop_after
    trained = _train(tmp_path / "out", config)
    metrics = trained.metrics
    assert (metrics["checkpoint_step"], metrics["checkpoint_report"]) == (3, {"val_loss": 1})
    assert (metrics["value"], metrics["last"]) == (4, {"val_loss": 4})
    assert load_state(trained.folder) == {"epoch": 3}
    assert metrics["test"] == {"accuracy": 0.75, "seen": 3}
    card = (trained.folder / "model-card.md").read_text()
    assert "| accuracy | 0.75 |" in card
    assert "Trust the test split" in card
    assert not list(trained.folder.glob("checkpoint-*"))


def test_a_damaged_best_state_is_passed_over(tmp_path):
    (tmp_path / "train.py").write_text(BEST_THEN_WORSE)
    config = _function_config(epochs=6)
    _train(tmp_path / "out", config, Heard(stop_after=5))
    (tmp_path / "out" / "checkpoint-3.safetensors").write_bytes(b"torn")
    heard = Heard()
    metrics = _train(tmp_path / "out", config, heard).metrics
    assert metrics["checkpoint_step"] == 6, "the last is the only other one"
    assert any("the next best one is delivered" in text for text in heard.texts)


@pytest.mark.parametrize(
    ("test", "fault"),
    [
        (
            "def test(trial): raise ValueError('no file')",
            "ValueError: no file (train.py:7 in test)",
        ),
        ("def test(trial): return 0.5", "it returned a float; return a dict of metrics"),
        ("def test(trial): return {}", "it returned 0 metrics"),
        ("def test(trial): return {'a': 'good'}", "a is a str, not a number"),
        ("def test(trial): return {1: 0.5}", "a metric's name is text"),
        ("def test(trial): raise SystemExit(3)", "SystemExit: 3"),
        ("def test(): return {}", "must take one argument: def test(trial)"),
    ],
)
def test_a_wrong_test_is_one_sentence_and_is_repeated_alone(tmp_path, test, fault):
    file = tmp_path / "train.py"
    file.write_text(f"{BEST_THEN_WORSE}\n{test}\n")
    config, heard = _function_config(epochs=4), Heard()
    trained = _train(tmp_path / "out", config, heard)
    assert "test" not in trained.metrics
    [text] = [text for text in heard.texts if "test()" in text]
    assert fault in text
    assert "\n" not in text
    assert (trained.folder / "model.safetensors").exists()
    assert "there are no test metrics" in (trained.folder / "model-card.md").read_text()
    sys.modules.pop("train")
    file.write_text(BEST_THEN_WORSE + TEST)
    again = Heard()
    repeated = _train(tmp_path / "out", config, again)
    assert again.steps == [], "it is not trained again"
    assert repeated.metrics["test"] == {"accuracy": 0.75, "seen": 3}
    assert repeated.metrics["curve"].keys() == {1, 2, 3, 4}
    assert _train(tmp_path / "out", config).was_done
    assert (trained.folder / "train.py").read_text() == file.read_text()


FOLDERS = """\
def train(trial):
    folder = trial.checkpoint.folder()
    for epoch in range(1, trial.params["epochs"] + 1):
        trial.report(step=epoch, val_loss=abs(epoch - 2) + 1)
        (folder / "epoch").write_text(str(epoch))
        trial.checkpoint.save(folder)

def test(trial):
    return {"epoch": int((trial.checkpoint.folder() / "epoch").read_text()) / WRONG}
"""


def test_a_function_of_folders_is_tested_with_the_best_one(tmp_path):
    file, config = tmp_path / "train.py", _function_config(epochs=3)
    file.write_text(FOLDERS.replace("WRONG", "0"))
    failed = _train(tmp_path / "out", config)
    assert "ZeroDivisionError" in failed.metrics["test_fault"]
    sys.modules.pop("train")
    # Of another size: within one second, Python tells a changed file by nothing else.
    file.write_text(FOLDERS.replace("WRONG", "1.0"))
    heard = Heard()
    tested = _train(tmp_path / "out", config, heard)
    assert tested.metrics["test"] == {"epoch": 2}
    assert heard.steps == []
    assert (tested.folder / "checkpoint" / "epoch").read_text() == "2"
    assert not list(tested.folder.glob("checkpoint-*"))


def test_what_a_function_imports_late_is_in_the_folder_too(tmp_path):
    (tmp_path / "late_part.py").write_text("VALUE = 0.5")
    (tmp_path / "train.py").write_text("def train(trial):\n    import late_part\n    return 0.5")
    trained = _train(tmp_path / "out", _function_config())
    assert sorted(trained.metrics["sources"]) == ["late_part.py", "train.py"]
    assert (trained.folder / "late_part.py").exists()


SURROUNDINGS = """\
import argparse, os, sys
at_import = argparse.ArgumentParser().parse_args(), list(sys.argv), sys.path[0]

def train(trial):
    argparse.ArgumentParser().parse_args()
    names = [name for name in os.environ if name.startswith(("PG", "TUNER_"))]
    trial.set_user_attr("seen", str((at_import[1:], sys.argv, sys.path[0], names)))
    return 0.5
"""


def test_a_function_finds_itself_as_a_program_and_ours_is_restored(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["tuner", "train", "best.yaml"])
    monkeypatch.setenv("PGPASSWORD", "not for the objective")
    before = sys.argv, list(sys.argv), list(sys.path)
    (tmp_path / "train.py").write_text(SURROUNDINGS)
    trained = _train(tmp_path / "out", _function_config())
    file, folder = str(tmp_path / "train.py"), str(tmp_path)
    seen = (([file], folder), [file], folder, [])
    assert trained.metrics["facts"]["seen"] == str(seen)
    assert (sys.argv, list(sys.argv), sys.path) == before
    assert os.environ["PGPASSWORD"] == "not for the objective"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def train(trial): raise ValueError('bad layer')", "ValueError: bad layer"),
        ("def train(trial): raise KeyboardInterrupt", "KeyboardInterrupt .train.py:1 in train"),
        ("def train(trial): trial.report(loss=1)", "not the study's metric"),
        ("def other(trial): ...", "has no function train"),
        ("def train(trial) ...", "importing train.py failed"),
    ],
)
def test_a_function_that_fails_is_one_sentence(tmp_path, code, message):
    (tmp_path / "train.py").write_text(code)
    with pytest.raises(RunFailed, match=message):
        _train(tmp_path / "out", _function_config(epochs=2))


def test_a_function_that_saves_nothing_leaves_no_model_and_the_card_says_so(tmp_path):
    (tmp_path / "train.py").write_text("def train(trial): return 0.5")
    trained = _train(tmp_path / "out", _function_config())
    assert not (trained.folder / "model.safetensors").exists()
    assert "saved no checkpoint" in (trained.folder / "model-card.md").read_text()
    assert trained.metrics["value"] == 0.5


def test_weights_that_came_later_are_another_training(tmp_path):
    _train(tmp_path / "out")
    weights = Weights(file="w.safetensors", sha256="a" * 64)
    with pytest.raises(UsageError, match="another config"):
        _train(tmp_path / "out", make_config(weights=weights))
