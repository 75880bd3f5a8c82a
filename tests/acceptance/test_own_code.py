"""Functions as objectives: from Python and the command line, and how their mistakes look."""

import json
import signal
import subprocess
import sys

import pytest

from tests.acceptance.command import LIGHT, SECONDS, build_environment, wait_until

STUDY = """\
name: own
objective: train.py:train
minimize: val_loss
params: {{epochs: {epochs}}}
search_space:
  lr: {{float: [0.01, 0.5], log: true}}
sampler: random
pruner: none
budget: {budget}
failures: {{retries: 0}}
checkpoints: {{every: {every}}}
"""

DESCENT = """\
import time

def train(trial):
    x, first = 10.0, 1
    state = trial.checkpoint.load()
    if state is not None:
        x, first = state["x"], state["step"] + 1
        print("goes on from", state["step"])
    for step in range(first, trial.params["epochs"] + 1):
        x -= trial.params["lr"] * x
        time.sleep(0.02)
        trial.report(step=step, val_loss=x * x)
        trial.checkpoint.save({"x": x, "step": step})
    trial.set_user_attr("x", x)
"""


def _write(folder, code=DESCENT, *, epochs=3, budget="{trials: 2}", every="30s"):
    (folder / "train.py").write_text(code)
    path = folder / "own.yaml"
    path.write_text(STUDY.format(epochs=epochs, budget=budget, every=every))
    return path


def _python(tuner, folder, code, environment=LIGHT):
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=build_environment({**tuner.environment, **environment}),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_three_lines_of_python_run_a_study_and_look_at_it(tuner, tmp_path):
    _write(tmp_path)
    ran = _python(
        tuner,
        tmp_path,
        "import tuner\n"
        'study = tuner.run("own.yaml", workers=1)\n'
        "print(study.best.value, study.best.params['lr'])",
    )
    assert "trial 1: complete" in ran.stderr
    best = tuner.look("best", "own", "--json").json
    assert ran.stdout.split() == [str(best["value"]), str(best["params"]["lr"])]

    pytest.importorskip("pandas")
    looked = _python(
        tuner,
        tmp_path,
        "import tuner\n"
        'table = tuner.load_study("own").dataframe()\n'
        'print(table.to_json(orient="split", date_format="iso"))',
    )
    table = json.loads(looked.stdout)
    assert table["columns"] == [
        "number",
        "state",
        "value",
        "datetime_start",
        "datetime_complete",
        "duration",
        "params_lr",
        "user_attrs_x",
        "steps",
        "attempts",
        "host",
        "reason",
    ]
    assert [row[:2] for row in table["data"]] == [[0, "COMPLETE"], [1, "COMPLETE"]]


def test_python_can_be_quiet_override_and_names_the_study(tuner, tmp_path):
    _write(tmp_path)
    ran = _python(
        tuner,
        tmp_path,
        "import tuner\n"
        'study = tuner.run("own.yaml", workers=1, overrides=("budget.trials=1",), quiet=True)\n'
        "print(len(study.trials), study, study.refresh().trials == study.trials)",
    )
    assert ran.stdout.startswith("1 <Study own: finished, 1 of 1 trial")
    assert ran.stdout.endswith("> True\n")
    assert ran.stderr == ""


def test_an_interrupted_run_releases_and_leaves_pythons_own_signals(tuner, tmp_path):
    _write(tmp_path, epochs=100_000)
    ran = _python(
        tuner,
        tmp_path,
        "import os, signal, tuner, tuner.cli.screen.views as views\n"
        "show = views.PlainView.show\n"
        "def watch(self, notice):\n"
        "    show(self, notice)\n"
        "    if type(notice).__name__ == 'TrialStarted':\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "views.PlainView.show = watch\n"
        "try:\n"
        '    tuner.run("own.yaml", workers=1)\n'
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
        'study = tuner.load_study("own")\n'
        "print(study.trials[0].state, signal.getsignal(signal.SIGINT) is "
        "signal.default_int_handler)",
    )
    assert "SIGINT: releasing 1 trial" in ran.stderr
    assert ran.stdout == "interrupted\nRELEASED True\n"


def test_a_halted_study_is_an_error_in_python(tuner, tmp_path):
    _write(tmp_path)
    (tmp_path / "train.py").write_text("def train(trial):\n    raise ValueError('no')\n")
    ran = _python(
        tuner,
        tmp_path,
        "import tuner\n"
        "try:\n"
        '    tuner.run("own.yaml", workers=1, overrides=("failures.stop_after=1",), quiet=True)\n'
        "except tuner.TunerError as error:\n"
        "    print(error, error.exit_code)\n",
        environment={},  # with torch, the next trial does not begin before the study is halted
    )
    assert ran.stdout.startswith("study 'own' is halted (1 failure: trial 0: ")
    assert ran.stdout.endswith("fix the cause, then `tuner resume own` 6\n")


def test_a_run_in_another_thread_is_refused_with_a_sentence(tuner, tmp_path):
    _write(tmp_path)
    ran = _python(
        tuner,
        tmp_path,
        "import threading, tuner\n"
        "def run():\n"
        "    try:\n"
        '        tuner.run("own.yaml")\n'
        "    except tuner.TunerError as error:\n"
        "        print(error)\n"
        "thread = threading.Thread(target=run)\n"
        "thread.start()\n"
        "thread.join()\n",
    )
    assert ran.stdout == "tuner.run handles signals: call it from the main thread\n"


def test_python_gets_one_sentence_for_a_study_that_is_not_there(tuner, tmp_path):
    ran = _python(
        tuner,
        tmp_path,
        "import tuner\n"
        "try:\n"
        '    tuner.load_study("none")\n'
        "except tuner.TunerError as error:\n"
        "    print(type(error).__name__, error)\n",
    )
    assert ran.stdout.startswith("NotFound no study 'none'")


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (
            "    raise ValueError('no such layer')\n",
            "ValueError: no such layer (train.py:2 in train)",
        ),
        pytest.param(
            "    import torch\n    return torch.tensor(0.5)\n",
            "it returned a Tensor; return it as a float, with .item() (train.py:1 in train)",
            marks=pytest.mark.long,  # a fault test has the same with torch
        ),
        (
            "    pass\n",
            "it returned None and reported nothing; return val_loss as a float, or call "
            "trial.report(val_loss=...) (train.py:1 in train)",
        ),
        (
            "    trial.report(loss=0.5)\n",
            "the report has loss, and not the study's metric; call trial.report(val_loss=...) "
            "(train.py:2 in train)",
        ),
        (
            "    trial.report(val_loss=float('nan'))\n",
            "val_loss is nan at step 1",
        ),
    ],
)
def test_a_mistake_is_one_sentence_with_file_and_line_and_no_traceback(
    tuner, tmp_path, body, sentence
):
    file = _write(tmp_path, "def train(trial):\n" + body, budget="{trials: 1}")
    environment = {} if "torch" in body else LIGHT
    # a traceback would fail the test
    ended = tuner("run", file, "--workers", 1, code=5, **environment)
    (line,) = [line for line in ended.err.splitlines() if line.startswith("trial 0: ")]
    assert sentence in line
    (trial,) = tuner.look("trials", "own", "--json").json
    assert (trial["state"], trial["attempt"]) == ("FAIL", 1)


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("def train(trial:\n", "train.py:1: '(' was never closed; fix the file"),
        ("def fit(trial): ...\n", "train.py has no function 'train'; functions there: fit"),
        ("def train(): ...\n", "train.py:1: train must take one argument: def train(trial)"),
    ],
)
def test_code_that_cannot_be_had_is_said_before_a_study_is_made(tuner, tmp_path, code, sentence):
    refused = tuner("run", _write(tmp_path, code), "--workers", 1, code=2, **LIGHT)
    assert sentence in refused.err
    assert tuner.look("status", "--json").json == []


def test_code_that_cannot_be_imported_is_said_before_a_study_is_made(tuner, tmp_path):
    file = _write(tmp_path, "import nothing_such\n" + DESCENT)
    refused = tuner("run", file, "--workers", 1, code=1, **LIGHT)
    assert "No module named 'nothing_such' (train.py:1 in <module>)" in refused.err
    assert tuner.look("status", "--json").json == []


def test_a_budget_of_time_ends_the_study_with_its_reason(tuner, tmp_path):
    file = _write(tmp_path, epochs=100_000, budget="{time: 2s}")
    ended = tuner("run", file, "--workers", 2, code=5, **LIGHT)
    reason = "the budget's time of 2s is used up"
    assert f"stopping: {reason}" in ended.err
    assert reason in ended.out
    trials = tuner.look("trials", "own", "--json").json
    assert {trial["state"] for trial in trials} == {"PRUNED"}
    assert {trial["reason"] for trial in trials} == {f"stopped: {reason}"}
    assert all(trial["value"] is not None for trial in trials if trial["steps"])


def test_a_stopped_function_study_goes_on_from_its_checkpoint(tuner, tmp_path):
    file = _write(tmp_path, epochs=300, budget="{trials: 1}")
    run = tuner.start("run", file, "--workers", 1, **LIGHT)

    def steps():
        listing = tuner.look("trials", "own", "--json", code=None)
        return listing.json[0]["steps"] if listing.code == 0 and listing.json else 0

    wait_until(lambda: (steps() or 0) >= 3, "it reports")
    stopped = tuner.stop(run, signal.SIGTERM)
    assert stopped.code == 143, stopped
    at = steps()
    again = tuner("run", file, "--workers", 1, **LIGHT)
    assert f"trial 0: was released, continues here from epoch {at} (attempt 2)" in again.err
    (trial,) = tuner.look("trials", "own", "--json").json
    assert (trial["state"], trial["steps"], trial["attempt"]) == ("COMPLETE", 300, 2)
    assert trial["user_attrs"]["x"] == pytest.approx(
        10 * (1 - trial["params"]["lr"]) ** 300, rel=1e-6
    )
    log = tuner.look("logs", "own", 0)
    assert f"goes on from {at}" in log.out
