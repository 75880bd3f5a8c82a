"""Programs of users as objectives, from the command line to the final training."""

import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.acceptance.command import STUDIES

STUDY = """\
name: own
objective:
  command: {command}
  {more}
minimize: loss
params: {{epochs: 4}}
search_space:
  x: {{float: [0.5, 2]}}
sampler: random
pruner: none
budget: {{trials: 2}}
"""


def _write(folder, command, files, more=""):
    for name, text in files.items():
        (folder / name).write_text(text)
    file = folder / "study.yaml"
    more = more or r"report: {pattern: 'step (?P<step>\d+) loss (?P<loss>\S+)'}"
    file.write_text(STUDY.format(command=command, more=more))
    return file


def _trials(tuner, name="own"):
    return tuner.look("trials", name, "--json").json


def test_a_script_with_argparse_is_searched_exported_and_trained(tuner, tmp_path):
    folder = tmp_path / "command"
    shutil.copytree(STUDIES / "command", folder)
    file = folder / "study.yaml"
    file.write_text(file.read_text().replace("trials: 20", "trials: 3").replace(": 9}", ": 3}"))
    # A copy of its folder takes a moment: the final training leaves time for one at each epoch.
    main = folder / "main.py"
    main.write_text(
        main.read_text().replace(
            "        print(",
            '        time.sleep(float(os.environ.get("EPOCH_SECONDS", "0")))\n        print(',
        )
    )
    main.write_text(main.read_text().replace("import os\n", "import os\nimport time\n"))
    finished = tuner("run", file, "--workers", 2)
    assert "command: finished, 3 of 3 trials" in finished.out
    assert "command {python} main.py --lr {lr}" in finished.err
    assert {trial["state"] for trial in _trials(tuner, "command")} <= {"COMPLETE", "PRUNED"}
    log = tuner.look("logs", "command", 0).out
    assert re.search(r"tuner: runs \S+ main.py --lr [\d.e-]+ --batch-size \d+", log)
    assert "epoch 1 val_loss" in log

    best = folder / "best.yaml"
    exported = tuner("export", "command", "--file", file, "-o", best)
    assert f"next: tuner train {best} --allow-command" in exported.err
    refused = tuner("train", best, "-o", tmp_path / "final", code=2)
    assert "runs a command of its own: '{python}' main.py" in refused.err
    assert not (tmp_path / "final").exists()
    final = ("train", best, "-o", tmp_path / "final", "--allow-command", "--json")
    trained = tuner(*final, EPOCH_SECONDS="3")
    assert "runs '{python}' main.py" in trained.err
    metrics = trained.json
    steps = {int(step): values["val_loss"] for step, values in metrics["curve"].items()}
    assert sorted(steps) == [1, 2, 3]
    assert metrics["checkpoint_step"] == min(steps, key=steps.get)
    for left in ("checkpoint", "files/0/checkpoint"):  # of the best step, and of the last one
        assert {path.name for path in (tmp_path / "final" / left).iterdir()} == {"last.pt"}
    assert (tmp_path / "final" / "main.py").read_text() == (folder / "main.py").read_text()
    again = tuner("reproduce", "command", 0, "--file", file)
    assert "reproduced bit for bit (" in again.out


BASH = """\
for i in $(seq "$EPOCHS"); do echo "step $i loss $(echo "$1 $i" | awk '{print $1 / $2}')"; done
"""
NODE = """\
const {x, epochs} = JSON.parse(require("fs").readFileSync(process.argv[2]));
for (let i = 1; i <= epochs; i++) console.log("tuner: " + JSON.stringify({step: i, loss: x / i}));
"""
CSV = """\
import csv, sys
x, epochs, path = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
with open(path, "w", newline="") as file:
    rows = csv.writer(file)
    rows.writerow(["epoch", "lr", "loss"])
    for epoch in range(epochs):
        rows.writerow([epoch, 0.1, x / (epoch + 1)])
        file.flush()
"""
REPORT = """\
import sys, tuner
given = dict(word.removeprefix("--").split("=") for word in sys.argv[1:])
for step in range(1, int(given["epochs"]) + 1):
    tuner.report(step=step, loss=float(given["x"]) / step)
"""


@pytest.mark.parametrize(
    ("command", "files", "more"),
    [
        pytest.param(
            '[bash, main.sh, "{x}"]',
            {"main.sh": BASH},
            r"""report: {pattern: 'step (?P<step>\d+) loss (?P<loss>\S+)'}
  env: {EPOCHS: "{epochs}"}""",
            id="bash",
        ),
        pytest.param(
            '[node, main.js, "{params_json}"]',
            {"main.js": NODE},
            "env: {}",
            id="node",
            marks=pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js"),
        ),
        pytest.param(
            '["{python}", main.py, "{x}", "{epochs}", "{trial_dir}/log.csv"]',
            {"main.py": CSV},
            'report: {csv: "{trial_dir}/log.csv", step: epoch, first_step: 0}',
            id="csv",
        ),
        pytest.param(
            '["{python}", main.py, "{args}"]',
            {"main.py": REPORT},
            "args_style: equals",
            id="tuner.report",
        ),
    ],
)
def test_a_program_of_any_kind_reports_every_step(tuner, tmp_path, command, files, more):
    finished = tuner("run", _write(tmp_path, command, files, more), "--workers", 1)
    assert "own: finished, 2 of 2 trials" in finished.out
    for trial in _trials(tuner):
        shown = tuner.look("show", "own", trial["number"], "--json").json
        x = trial["params"]["x"]
        assert list(shown["curve"]) == ["1", "2", "3", "4"]
        losses = list(shown["curve"].values())
        assert losses == pytest.approx([x, x / 2, x / 3, x / 4], rel=1e-4)
        assert trial["value"] == losses[-1]


def test_a_failing_program_is_recorded_with_its_last_line_and_log(tuner, tmp_path):
    script = 'echo "step 1 loss $1"; echo "no such data set" >&2; exit 3'
    file = _write(tmp_path, '[bash, main.sh, "{x}"]', {"main.sh": script})
    file.write_text(file.read_text() + "failures: {retries: 0, stop_after: 9}\n")
    tuner("run", file, "--workers", 1, code=None)
    failed = _trials(tuner)[0]
    assert failed["state"] == "FAIL"
    assert failed["reason"] == "the program ended with exit code 3: no such data set"
    assert "no such data set" in tuner.look("logs", "own", 0).out


def test_a_program_without_a_report_is_said_so_by_smoke_and_run(tuner, tmp_path):
    file = _write(tmp_path, '[bash, main.sh, "{x}"]', {"main.sh": "echo loading; echo done"})
    smoke = tuner("check", file, "--smoke", code=1)
    sentence = "the program ended without a report; reports are expected from lines in which"
    assert sentence in smoke.err
    assert "the last ones are: loading | done" in smoke.err
    (tmp_path / "main.sh").write_text('for i in 1 2 3 4; do echo "step $i loss $1"; sleep 1; done')
    assert "smoke: one trial reached epoch 1" in tuner("check", file, "--smoke").err


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ('[no-such-program, "{x}"]', "there is no program no-such-program on this machine in PATH"),
        ('[bash, gone.sh, "{x}"]', "there is no file .*gone.sh, which the command runs"),
    ],
)
def test_a_missing_program_is_said_before_the_study_exists(tuner, tmp_path, command, sentence):
    file = _write(tmp_path, command, {})
    refused = tuner("run", file, "--workers", 1, code=None)
    assert refused.code != 0
    assert re.search(sentence, refused.err)
    assert "Traceback" not in refused.err
    assert tuner.look("status", "--json").json == []


OPTIONS = """\
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, help="learning rate (default: 0.1)")
parser.add_argument("--batch-size", type=int, help="rows a step (default: 32)")
parser.add_argument("--optimizer", choices=["sgd", "adam"])
parser.add_argument("--epochs", type=int, help="(default: 9)")
parser.add_argument("--seed", type=int)
parser.add_argument("--device", help="(default: 0)")
parser.parse_args()
"""


def test_init_writes_a_study_from_the_help_of_a_program(tuner, tmp_path):
    (tmp_path / "main.py").write_text(OPTIONS)
    words = ("init", tmp_path, "--command", f"{sys.executable} main.py")
    said = tuner(*words, "--json").json
    assert [Path(name).name for name in said["files"]] == ["study.yaml", "study.schema.json"]
    objective = tuner.look("check", tmp_path / "study.yaml", "--json").json["spec"]["objective"]
    assert objective["command"] == [
        *(sys.executable, "main.py", "--epochs", "{epochs}", "--seed", "{seed}", "--lr", "{lr}"),
        *("--batch-size", "{batch_size}", "--optimizer", "{optimizer}"),
    ]
    text = (tmp_path / "study.yaml").read_text()
    assert "\nparams: {epochs: 9}\n" in text
    assert "\n  lr: {float: [0.01, 1], log: true}  # a guess around the default 0.1\n" in text
    assert "\n  optimizer: {choice: [sgd, adam]}  # a guess\n" in text
    assert "overwrites nothing" in tuner.look(*words, code=2).err


@pytest.mark.parametrize(
    ("program", "sentence"),
    [
        (f"{sys.executable} gone.py", r"failed with exit code 2: .*can't open file"),
        (
            "no-such-program",
            r"no-such-program --help cannot be run \((No such|Permission)",
        ),
        ("'", "--command: No closing quotation"),
        (" ", "--command is empty"),
    ],
)
def test_init_with_a_program_that_does_not_help_writes_nothing(tuner, tmp_path, program, sentence):
    refused = tuner.look("init", tmp_path, "--command", program, code=2)
    assert re.search(sentence, refused.err), refused.err
    assert list(tmp_path.iterdir()) == []


HYDRA = """\
import hydra

@hydra.main(version_base=None, config_path=".", config_name="base")
def main(config):
    for step in range(1, config.train.epochs + 1):
        print(f"step {step} loss {config.train.x / step}")

main()
"""
EVENTS = """\
import sys
from torch.utils.tensorboard import SummaryWriter

x, epochs, folder = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
with SummaryWriter(folder) as writer:
    for epoch in range(epochs):
        writer.add_scalar("lr", 0.1, epoch)
        writer.add_scalar("loss", x / (epoch + 1), epoch)
"""


@pytest.mark.long
@pytest.mark.parametrize(
    ("command", "files", "more"),
    [
        pytest.param(
            '["{python}", app.py, "train.x={x}", "train.epochs={epochs}", '
            '"hydra.run.dir={trial_dir}"]',
            {"app.py": HYDRA, "base.yaml": "train: {x: 1.0, epochs: 2}\n"},
            "",
            id="hydra",
        ),
        pytest.param(
            '["{python}", main.py, "{x}", "{epochs}", "{trial_dir}/events"]',
            {"main.py": EVENTS},
            'report: {tensorboard: "{trial_dir}/events", first_step: 0}',
            id="tensorboard",
        ),
    ],
)
def test_frameworks_need_no_change(tuner, tmp_path, command, files, more):
    finished = tuner("run", _write(tmp_path, command, files, more), "--workers", 1)
    assert "own: finished, 2 of 2 trials" in finished.out, finished
    for trial in _trials(tuner):
        x = trial["params"]["x"]
        shown = tuner.look("show", "own", trial["number"], "--json").json
        expected = {"1": x, "2": x / 2, "3": x / 3, "4": x / 4}
        assert shown["curve"] == pytest.approx(expected, rel=1e-4)


def test_simple_models_need_data_that_tuner_can_read(tuner, tmp_path):
    found = tuner.look("check", STUDIES / "digits.yaml", "--baseline", "--json").json["baselines"]
    assert len(found) == 3
    assert found[0]["values"]["val_accuracy"] < 0.2 < 0.9 < found[1]["values"]["val_accuracy"]
    file = _write(tmp_path, f"[{sys.executable}, main.py, '{{x}}']", {"main.py": ""})
    refused = tuner.look("check", file, "--baseline", code=2).err
    assert refused.startswith("tuner: --baseline: only the program can read its data")
