"""Lightning and the trainer of Hugging Face, the real ones, with the examples of `studies/`."""

import importlib.util
import random
import re
import subprocess
import sys

import numpy as np
import pytest
import torch

from tests.acceptance.command import ROOT, SECONDS, STUDIES, build_environment
from tests.acceptance.examples import copy_example
from tuner.study.verdict import Verdict
from tuner.training.checkpoint import save_checkpoint
from tuner.training.lane import DetachedLane
from tuner.trial import Mistake, Trial, TrialPruned, TrialReleased

pytestmark = [
    pytest.mark.long,  # the packages are installed for the extended suite alone
    pytest.mark.filterwarnings("ignore"),  # they warn of each other
]

PARAMS = {
    "accelerate": {"epochs": 6, "learning_rate": 0.01, "width": 32},
    "lightning": {"epochs": 6, "learning_rate": 0.01, "width": 32, "dropout": 0.2},
    "hugging-face": {"epochs": 6, "learning_rate": 0.002, "n_layers": 1, "dropout": 0.1},
}
EXAMPLES = list(PARAMS)
WITH_CALLBACK = ["lightning", "hugging-face"]


class Machine(DetachedLane):
    """The lane of a trial on one machine: it is stopped after a step, and keeps its last state."""

    trusts_folders = True

    def __init__(self, spool, *, stop_after=None, verdict=Verdict.CONTINUE, before=None):
        super().__init__({})
        spool.mkdir()
        self.spool, self.stop_after, self.stop = spool, stop_after, verdict
        self.saved, self.step = None, 0
        if before is not None:
            self.checkpoint, self.from_step = str(before.saved), before.step

    def report(self, step, values, *, is_last=False):
        self.step = step

    def verdict(self):
        return self.stop if self.step == self.stop_after else Verdict.CONTINUE

    def is_save_due(self, step):
        return True

    def save(self, step, state):
        self.saved = save_checkpoint(self.spool, f"state-{step}", state()).path
        return True


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _module(example):
    spec = importlib.util.spec_from_file_location(
        example.replace("-", "_"), STUDIES / example / "train.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _trial(example, folder, machine=None):
    return Trial(params=PARAMS[example], seed=7, dir=folder, lane=machine)


def _seed(number):
    random.seed(number)
    np.random.seed(number)
    torch.manual_seed(number)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("example", EXAMPLES)
def test_the_curve_of_a_resumed_trial_is_that_of_an_undisturbed_one(example, tmp_path):
    """On another machine, with other generators and another folder."""
    module = _module(example)
    _seed(7)
    whole = _trial(example, tmp_path / "whole")
    module.train(whole)
    assert [step for step, _ in whole.reports] == [1, 2, 3, 4, 5, 6]

    _seed(7)
    first = Machine(tmp_path / "spool", stop_after=2, verdict=Verdict.RELEASE)
    released = _trial(example, tmp_path / "released", first)
    with pytest.raises(TrialReleased):
        module.train(released)
    _seed(8)
    second = Machine(tmp_path / "other spool", before=first)
    resumed = _trial(example, tmp_path / "resumed", second)
    module.train(resumed)
    assert released.reports + resumed.reports == whole.reports


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("example", EXAMPLES)
def test_a_trial_is_pruned_at_the_step_of_a_plain_loop(example, tmp_path):
    machine = Machine(tmp_path / "spool", stop_after=3, verdict=Verdict.PRUNE)
    trial = _trial(example, tmp_path / "trial", machine)
    with pytest.raises(TrialPruned):
        _module(example).train(trial)
    assert [step for step, _ in trial.reports] == [1, 2, 3]
    plain = Trial(lane=Machine(tmp_path / "plain", stop_after=3, verdict=Verdict.PRUNE))
    with pytest.raises(TrialPruned):
        _report_six_times(plain)
    assert [step for step, _ in plain.reports] == [1, 2, 3]


def _report_six_times(trial):
    for step in range(1, 7):
        trial.report(step=step, val_loss=1.0)


OLDER = """\
import sys
import torch
import train
from tuner import Trial

def run(folder, epochs):
    params = {"epochs": epochs, "learning_rate": 0.01, "width": 32, "dropout": 0.2}
    trial = Trial(params=params, seed=3, dir=f"{sys.argv[1]}/{folder}")
    train.train(trial)
    return trial.reports

torch.set_num_threads(1)
torch.manual_seed(1)
undisturbed = run("undisturbed", 3)
torch.manual_seed(1)
assert run("disturbed", 1) + run("disturbed", 3) == undisturbed
assert "lightning.pytorch" not in sys.modules
"""


def test_the_older_package_of_lightning_works_as_well(tmp_path):
    text = (STUDIES / "lightning" / "train.py").read_text()
    older = text.replace("\nimport lightning\n", "\nimport pytorch_lightning as lightning\n")
    assert older != text
    (tmp_path / "train.py").write_text(older)
    (tmp_path / "run.py").write_text(OLDER)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "run.py"), str(tmp_path)],
        env=build_environment({}),
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        ("cpu", {"accelerator": "cpu", "devices": 1}),
        ("cuda:0", {"accelerator": "gpu", "devices": [0]}),
        ("cuda:1", {"accelerator": "gpu", "devices": [1]}),
    ],
)
def test_the_trainer_gets_the_device_and_the_folder_of_the_trial(device, expected, tmp_path):
    callback = _module("lightning").TunerCallback(Trial(device=device, dir=tmp_path))
    assert callback.options == {**expected, "default_root_dir": str(tmp_path)}
    arguments = _module("hugging-face").TunerCallback(Trial(device=device, seed=5)).arguments
    assert (arguments["use_cpu"], arguments["seed"]) == (device == "cpu", 5)


@pytest.mark.parametrize(
    ("example", "argument"),
    [("lightning", "ckpt_path=callback.ckpt_path"), ("hugging-face", "callback.checkpoint")],
)
def test_a_trial_that_would_begin_again_is_a_mistake(example, argument, tmp_path):
    text = (STUDIES / example / "train.py").read_text()
    file = tmp_path / "train.py"
    file.write_text(re.sub(r", ckpt_path=callback\.ckpt_path|resume_from_.*\.checkpoint", "", text))
    assert file.read_text() != text
    first = Machine(tmp_path / "spool", stop_after=1, verdict=Verdict.RELEASE)
    with pytest.raises(TrialReleased):
        _module(example).train(_trial(example, tmp_path / "first", first))
    spec = importlib.util.spec_from_file_location("forgetful", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    second = Machine(tmp_path / "other spool", before=first)
    with pytest.raises(Mistake, match=re.escape(argument)):
        module.train(_trial(example, tmp_path / "second", second))


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_example_is_searched(example, tuner, tmp_path):
    finished = tuner("run", copy_example(example, tmp_path, trials=3), "--workers", 1)
    assert f"{example}: finished, 3 of 3 trials" in finished.out
    trials = tuner.look("trials", example, "--json").json
    assert {trial["state"] for trial in trials} <= {"COMPLETE", "PRUNED"}


def test_the_best_state_of_lightning_is_delivered_and_tested(tuner, tmp_path):
    file = copy_example("lightning", tmp_path, trials=1, epochs=2)
    tuner("run", file, "--workers", 1)
    best = file.with_name("best.yaml")
    tuner.look("export", "lightning", "--file", file, "-o", best)
    trained = tuner("train", best, "-o", tmp_path / "final", "--json").json
    losses = {step: values["val_loss"] for step, values in trained["curve"].items()}
    assert trained["checkpoint_step"] == int(min(losses, key=losses.get))
    assert 0.1 < trained["test"]["accuracy"] <= 1
    assert (tmp_path / "final" / "checkpoint" / "lightning.ckpt").is_file()


@pytest.mark.parametrize("option", ["--lightning", "--hf"])
def test_what_init_writes_runs_as_it_is(option, tuner, tmp_path):
    folder = tmp_path / "first"
    assert "next: tuner check" in tuner.look("init", folder, option).out
    file = folder / "study.yaml"
    assert "first: valid" in tuner.look("check", file).out
    ended = tuner("run", file, "--set", "budget.trials=2", "--workers", 1)
    assert "first: finished, 2 of 2 trials" in ended.out


def test_a_study_that_trusts_no_folders_says_so_at_once(tuner, tmp_path):
    file = copy_example("lightning", tmp_path, trials=1)
    file.write_text(file.read_text().replace("checkpoints: {folders: trusted}", ""))
    refused = tuner("run", file, "--workers", 1, code=None)
    assert "add `checkpoints: {folders: trusted}` to the study file" in refused.err


RANKS = """\
import os
import sys
from pathlib import Path

import torch

sys.path.insert(0, sys.argv[1])
from tests.acceptance.test_integrations import PARAMS, Machine, Verdict
from tuner.trial import Trial, TrialEnd

example, folder, rank = sys.argv[2], Path(sys.argv[3]), os.environ["RANK"]
verdict = Verdict(sys.argv[4])
machine = Machine(folder / f"spool-{rank}", stop_after=2, verdict=verdict) if rank == "0" else None
trial = Trial(params=PARAMS[example], seed=7, dir=folder / rank, lane=machine, device="cpu")
sys.path.insert(0, str(folder))
import train
try:
    train.train(trial)
except TrialEnd as end:
    (folder / f"end-{rank}").write_text(f"{type(end).__name__} {len(trial.reports)}")
finally:  # a thread of gloo that is left ends the process by SIGABRT now and then
    torch.distributed.destroy_process_group()
"""


@pytest.mark.parametrize("example", WITH_CALLBACK)
@pytest.mark.parametrize(("verdict", "end"), [("PRUNE", TrialPruned), ("RELEASE", TrialReleased)])
def test_two_processes_stop_together_and_the_first_reports(example, verdict, end, tmp_path):
    text = (STUDIES / example / "train.py").read_text()
    text = text.replace("**callback.options", '**callback.options | {"devices": 2}')
    (tmp_path / "train.py").write_text(text)
    (tmp_path / "ranks.py").write_text(RANKS)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    words = [str(ROOT), example, str(tmp_path), str(Verdict[verdict].value)]
    done = subprocess.run(
        [*torchrun, "--nproc-per-node=2", str(tmp_path / "ranks.py"), *words],
        env=build_environment({"OMP_NUM_THREADS": "1"}),
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr
    ends = [(tmp_path / f"end-{rank}").read_text().split() for rank in "01"]
    assert ends == [[end.__name__, "2"], [end.__name__, "0"]]
    is_saved = (tmp_path / "spool-0" / "state-2.folder").exists()
    assert is_saved == (verdict == "RELEASE"), "the state of the last step"
