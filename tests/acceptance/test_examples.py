"""The examples of `studies/` beyond what every one of them is run for in `test_main_job.py`."""

import re
import shutil
import subprocess
import sys

import pytest

from tests.acceptance.command import SECONDS, STUDIES, build_environment, smoke


def _copy(example, folder, trials=4, epochs=3):
    """A folder of `studies`, its study in smoke size."""
    copy = folder / example
    shutil.copytree(STUDIES / example, copy, ignore=shutil.ignore_patterns("__pycache__"))
    file = copy / "study.yaml"
    text = file.read_text()
    text, n_budgets = re.subn(r"\{trials: \d+", f"{{trials: {trials}", text)
    text, n_lengths = re.subn(r"\bepochs: \d+", f"epochs: {epochs}", text)
    assert (n_budgets, n_lengths) == (1, 1)
    file.write_text(text)
    return file


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
    file = _copy("own-code", tmp_path, trials=2)
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
    file = _copy("own-code", tmp_path)
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
    finished = tuner("run", _copy("own-model", tmp_path, epochs=2), "--workers", 1)
    assert "own-model: finished, 4 of 4 trials" in finished.out
    trials = tuner.look("trials", "own-model", "--json").json
    assert {trial["state"] for trial in trials} <= {"COMPLETE", "PRUNED"}
    assert {trial["params"]["n_channels"] for trial in trials} <= {4, 8}
    assert all(trial["value"] < 2.25 for trial in trials)  # of 10 classes: chance is 2.3


def test_own_model_can_be_looked_at_by_itself(tmp_path):
    done = subprocess.run(
        [sys.executable, str(_copy("own-model", tmp_path).with_name("net.py"))],
        env=build_environment({"TMPDIR": str(tmp_path)}),
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "torch.Size([5, 10])\n")
