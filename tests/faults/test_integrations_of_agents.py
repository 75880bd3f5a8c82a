"""An agent is killed in the third epoch of an example, and another machine continues its trial."""

import shutil
import signal
from pathlib import Path

import pytest
from agents import Fleet

from tests.acceptance.command import STUDIES

pytestmark = pytest.mark.long  # the packages are installed for the extended suite alone

# Slower, so that the third epoch is still at work when the kill comes, and with a list of all
# epochs that were trained.
SLOW = """\
import time
from pathlib import Path

import train as example

def train(trial):
    report = trial.report

    def report_slowly(*, step, **values):
        time.sleep(1)
        with Path(__file__).with_name(f"epochs-{STUDY}.txt").open("a") as file:
            file.write(f"{step}\\n")
        report(step=step, **values)

    trial.report = report_slowly
    example.train(trial)
"""
STUDY = """\
name: NAME
objective: NAME.py:train
GOAL
params: {epochs: 5, FIXED}
search_space: {learning_rate: {float: [0.002, 0.003]}}
sampler: random
pruner: none
budget: {trials: 1}
checkpoints: {every: 0.2s, folders: trusted}
failures: {lease: 3s}
seed: 5
"""
EXAMPLES = {
    "lightning": ("minimize: val_loss", "width: 32, dropout: 0.2"),
    "hugging-face": ("minimize: eval_loss", "n_layers: 1, dropout: 0.1"),
    "reinforcement": (
        "maximize: mean_return",
        "episodes: 8, discount: 0.99, width: 16, entropy_bonus: 0",
    ),
}


def _study(folder: Path, example: str, name: str) -> Path:
    goal, fixed = EXAMPLES[example]
    shutil.copy(STUDIES / example / "train.py", folder)
    (folder / f"{name}.py").write_text(SLOW.replace("{STUDY}", name))
    file = folder / f"{name}.yaml"
    file.write_text(
        STUDY.replace("NAME", name).replace("GOAL", goal).replace("FIXED", fixed),
    )
    return file


@pytest.mark.parametrize("example", EXAMPLES)
def test_another_machine_repeats_no_epoch_that_was_saved(
    fleet: Fleet, tmp_path: Path, example: str
) -> None:
    def start(name: str, home: str):
        study = _study(tmp_path, example, name)
        return fleet.start(study, environment={"TUNER_HOME": str(tmp_path / home)})

    undisturbed = start("undisturbed", "one")
    assert undisturbed.wait(150) == 0, undisturbed.output
    before = fleet.n_reports()
    assert before == 5
    killed = start("killed", "two")
    fleet.wait_for(lambda: fleet.n_reports() >= before + 2, "the third epoch", 120)
    killed.send(signal.SIGKILL)
    killed.wait()
    heir = start("killed", "three")
    assert heir.wait(150) == 0, heir.output

    reported = (
        "select step, intermediate_value from trial_intermediate_values"
        " join trials using (trial_id) join studies using (study_id)"
        " where study_name = %s order by step"
    )
    assert fleet.query(reported, "killed") == fleet.query(reported, "undisturbed")
    trained = (tmp_path / "epochs-killed.txt").read_text().split()
    print(f"{example}: epochs trained {trained}")
    assert set(trained) == set("12345")
    assert len(trained) <= 7, "at most the epoch at work and one that was not saved yet"
