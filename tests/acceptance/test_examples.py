"""The examples of `studies/` beyond what every one of them is run for in `test_main_job.py`."""

import importlib.util
import re
import subprocess
import sys
import zipfile

import pytest
import torch

from tests.acceptance.command import (
    SECONDS,
    STUDIES,
    build_environment,
    smoke,
    write_study,
)
from tests.acceptance.examples import copy_example
from tuner import Trial

# The examples that are kinds of training, with params of a trial.
KINDS = {
    "boosting": {
        "learning_rate": 0.1,
        "max_depth": 3,
        "min_child_weight": 1.0,
        "subsample": 0.7,
        "colsample_bytree": 0.7,
        "reg_lambda": 1.0,
    },
    "clustering": {
        "n_dimensions": 12,
        "n_clusters": 9,
        "covariance": "diag",
        "regularization": 0.1,
    },
    "keras": {"learning_rate": 0.01, "width": 32, "dropout": 0.2},
    "reinforcement": {
        "episodes": 8,
        "learning_rate": 0.02,
        "discount": 0.99,
        "width": 32,
        "entropy_bonus": 0.001,
    },
    "scikit-learn": {"loss": "log_loss", "penalty": "l2", "alpha": 1e-4, "scaler": "standard"},
    "self-supervised": {
        "labeled_rows": 100,
        "pretraining": 10,
        "masked_share": 0.3,
        "width": 128,
        "learning_rate": 2e-3,
    },
    "semi-supervised": {
        "labeled_share": 0.1,
        "learning_rate": 0.005,
        "threshold": 0.9,
        "pseudo_weight": 1.0,
        "noise": 0.1,
    },
    "transfer": {"labeled_rows": 60, "n_frozen": 1, "learning_rate": 3e-3, "body_rate": 0.1},
}
# Their packages are installed for the extended suite alone.
WITH_PACKAGES = {"boosting", "keras", "reinforcement"}


def test_the_grid_tries_different_cells_in_the_order_of_its_seed(tuner, tmp_path):
    tuner("run", smoke("digits-grid", tmp_path, trials=6, epochs=1), "--workers", 1)
    trials = tuner.look("trials", "digits-grid", "--json").json
    cells = [tuple(sorted(trial["params"].items())) for trial in trials]
    assert len(set(cells)) == len(cells) == 6
    allowed = {"width": {16, 32, 48, 64}, "dropout": {0, 0.25, 0.5}}
    for trial in trials:
        assert {name: trial["params"][name] in allowed[name] for name in allowed} == dict.fromkeys(
            allowed, True
        )


def test_a_trial_of_the_conditional_study_has_exactly_the_params_that_apply(tuner, tmp_path):
    tuner("run", smoke("conditional", tmp_path, trials=12, epochs=1), "--workers", 1)
    trials = tuner.look("trials", "conditional", "--json").json
    for trial in trials:
        params = trial["params"]
        layered = {"width", "activation"} if params["n_layers"] else set()
        dropout = {"dropout"} if params.get("activation") in ("relu", "gelu") else set()
        momentum = {"momentum"} if params["optimizer"] == "sgd" else set()
        always = {"learning_rate", "n_layers", "optimizer"}
        assert set(params) == always | layered | dropout | momentum
    assert len({frozenset(trial["params"]) for trial in trials}) > 1


def test_own_code_runs_and_tries_first_what_the_file_enqueues(tuner, tmp_path):
    file = copy_example("own-code", tmp_path, trials=2)
    finished = tuner("run", file, "--workers", 2)  # of one thread each, which does not wait
    assert "own-code: finished, 2 of 2 trials" in finished.out
    trials = tuner.look("trials", "own-code", "--json").json
    first, second = trials[0]["params"], trials[1]["params"]
    assert (first["learning_rate"], first["batch_size"]) == (0.01, 32)
    assert second["learning_rate"] == 0.1
    assert {trial["state"] for trial in trials} <= {"COMPLETE", "PRUNED"}
    assert all(trial["steps"] for trial in trials)


@pytest.mark.long
def test_own_code_trains_without_tuner_around_it(tmp_path):
    file = copy_example("own-code", tmp_path)
    done = subprocess.run(
        [sys.executable, str(file.with_name("train.py"))],
        env=build_environment({"TMPDIR": str(tmp_path)}),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"\(5, \{'val_loss': 0\.\d+\}\)\n", done.stdout)


def test_own_model_trains_lanes_of_its_own_params(tuner, tmp_path):
    finished = tuner("run", copy_example("own-model", tmp_path, epochs=2), "--workers", 1)
    assert "own-model: finished, 4 of 4 trials" in finished.out
    trials = tuner.look("trials", "own-model", "--json").json
    assert {trial["state"] for trial in trials} <= {"COMPLETE", "PRUNED"}
    assert {trial["params"]["n_channels"] for trial in trials} <= {4, 8}
    assert all(trial["value"] < 2.25 for trial in trials)  # of 10 classes: chance is 2.3


def _with_data(example, folder, **sizes):
    """A copy with the data that its own script writes."""
    file = copy_example(example, folder, **sizes)
    script = file.with_name("make_data.py")
    subprocess.run([sys.executable, str(script)], check=True, timeout=SECONDS, capture_output=True)
    return file


def test_a_table_becomes_a_model_that_predicts_raw_rows(tuner, tmp_path):
    """From a CSV to predictions, as a new user goes; then the refusals."""
    file = _with_data("table", tmp_path)
    checked = tuner.look("check", file)
    assert re.search(r"^customer_id +split +category +0 +116 +C\d+$", checked.out, re.M)
    found = re.search(
        r"classification of 2 classes; (\d+) train, (\d+) validation, (\d+) test", checked.out
    )
    assert found is not None
    n_test = int(found[3])
    tuner("run", file, "--workers", 1)
    tuner.look("export", "customers", "--file", file, "-o", file.with_name("best.yaml"))
    best = file.with_name("best.yaml")
    final, data = tmp_path / "final", file.with_name("customers.csv")
    trained = tuner("train", best, "-o", final, "--json").json
    assert {"accuracy", "f1", "auroc", "log_loss"} <= set(trained["test"])
    moved = tmp_path / "moved.csv"
    data.rename(moved)
    again = tuner("train", final / "config.yaml", "--data", moved, "-o", tmp_path / "again")
    assert f"{n_test} rows" in again.out
    models = [tmp_path / name / "model.safetensors" for name in ("final", "again")]
    assert models[0].read_bytes() == models[1].read_bytes()

    predicted = tuner.look("predict", final, moved, "--lenient", "-o", tmp_path / "out.csv")
    assert predicted.err.strip() == f"{tmp_path / 'out.csv'}: 400 predictions"
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines[0] == "prediction,p_no,p_yes"
    truth = [line.rpartition(",")[2] for line in moved.read_text().splitlines()[1:]]
    right = [line.split(",")[0] == label for line, label in zip(lines[1:], truth, strict=True)]
    assert sum(right) / len(right) > 0.6
    few = tmp_path / "few.csv"
    few.write_text("age,plan\n30,pro\n")
    refused = tuner.look("predict", final, few, code=2)
    assert refused.err == "tuner: the rows lack column 'since'\n"

    (file.with_name("customers.csv")).write_text(moved.read_text().rpartition("\nC")[0] + "\n")
    other = tuner("run", file, code=2)
    assert "data: stored 400 rows with the fingerprint" in other.err
    assert ", given 399 rows with the fingerprint" in other.err
    nameless = tuner("run", "--study", "customers", code=2)
    assert "reads files of your own, and a database may not choose the files" in nameless.err


def test_no_cell_of_a_table_is_in_the_database_or_in_a_log(tuner, tmp_path):
    secret = "Zebra-4711"
    text = f"name,plan,y\n{secret},{secret},1\n" + "".join(
        f"n{number},{'ab'[number % 2]},{number % 2}\n" for number in range(60)
    )
    (tmp_path / "people.csv").write_text(text + text[12:])
    file = write_study(
        tmp_path,
        objective="{data: {csv: people.csv, target: y, types: {name: category}}, model: mlp}",
        params="{epochs: 1}",
        budget="{trials: 1}",
    )
    ran = tuner("run", file, "--workers", 1)
    kept = tuner.look("db", "backup", "-o", tmp_path / "backup.zip")
    shown = [tuner.look(*words) for words in (("status", "plain"), ("trials", "plain", "--json"))]
    texts = [ran.out, ran.err, kept.out, *(each.out for each in shown)]
    with zipfile.ZipFile(tmp_path / "backup.zip") as backup:
        content = b"".join(backup.read(name) for name in backup.namelist())
    assert b"people.csv" in content, "the backup holds the text of all tables"
    assert secret.encode() not in content
    assert all(secret not in text for text in texts)


@pytest.mark.parametrize(("example", "name"), [("mnist", "mnist"), ("images", "shapes")])
def test_images_are_trained_from_files(example, name, tuner, tmp_path):
    file = _with_data(example, tmp_path, trials=2, epochs=1)
    finished = tuner("run", file, "--workers", 1)
    assert f"{name}: finished, 2 of 2 trials" in finished.out
    first, _ = tuner.look("trials", name, "--json").json
    if name == "mnist":
        asked = {"optimizer": "sgd", "learning_rate": 0.01, "batch_size": 64}
        assert first["params"] == asked | {"n_layers": 1, "width": 128}


def test_own_model_can_be_looked_at_by_itself(tmp_path):
    done = subprocess.run(
        [sys.executable, str(copy_example("own-model", tmp_path).with_name("net.py"))],
        env=build_environment({"TMPDIR": str(tmp_path)}),
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "torch.Size([5, 10])\n")


def _as_module(example):
    spec = importlib.util.spec_from_file_location(example, STUDIES / example / "train.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "example",
    [
        pytest.param(name, marks=[pytest.mark.long] if name in WITH_PACKAGES else [])
        for name in KINDS
    ],
)
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # in Keras
def test_a_kind_of_training_resumes_as_if_undisturbed(example, tmp_path):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    module = _as_module(example)

    def run(folder, epochs):
        trial = Trial(params={**KINDS[example], "epochs": epochs}, seed=7, dir=tmp_path / folder)
        module.train(trial)
        return trial

    undisturbed = run("undisturbed", 4)
    reports = run("disturbed", 2).reports + run("disturbed", 4).reports
    torch.set_num_threads(threads)
    assert [step for step, _ in reports] == [1, 2, 3, 4]
    assert reports == undisturbed.reports
    if hasattr(module, "test"):
        assert all(value > 0 for value in module.test(undisturbed).values())


@pytest.mark.long
@pytest.mark.parametrize("example", KINDS)
def test_a_kind_of_training_is_searched(example, tuner, tmp_path):
    finished = tuner("run", copy_example(example, tmp_path, trials=3, epochs=2), "--workers", 1)
    assert f"{example}: finished, 3 of 3 trials" in finished.out
    trials = tuner.look("trials", example, "--json").json
    assert {trial["state"] for trial in trials} <= {"COMPLETE", "PRUNED"}
    assert {trial["steps"] for trial in trials} <= {1, 2}
