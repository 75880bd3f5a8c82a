"""From a search to a model that is shipped, as a user does it: every step a command."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.command import (
    LIGHT,
    SECONDS,
    STUDIES,
    Tuner,
    build_environment,
    wait_until,
    write_study,
)
from tests.acceptance.dashboards import open_dashboard


def _example_of(card: Path) -> str:
    """The first block of Python of a model card."""
    (code, *_) = re.findall(r"^```python\n(.*?)^```", card.read_text(), re.M | re.S)
    return code


def _paste(code: str, folder: Path) -> str:
    """Run it in a folder, as somebody does who pastes it; what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=build_environment({}),
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_search_is_confirmed_exported_trained_reproduced_and_used(tuner: Tuner, tmp_path):
    study = write_study(
        tmp_path, budget="{trials: 4}", sampler="tpe", params="{epochs: 3, dropout: 0.1}"
    )
    tuner("run", study, "--workers", 1)
    best = tuner.look("best", "plain", "--json").json
    # Exported with its weights, without a word that one machine alone knows.
    tuner("export", "plain", "-o", tmp_path / "best.yaml", "--weights")
    text = (tmp_path / "best.yaml").read_text()
    assert text.startswith(f"# tuner: trial {best['number']} of study plain")
    assert str(tmp_path) not in text
    assert os.uname().nodename not in text
    printed = tuner.look("export", "plain", "--format", "json").json
    assert printed["params"]["learning_rate"] == best["params"]["learning_rate"]
    assert printed["provenance"]["value"] == best["value"]
    assert printed["provenance"]["trials"]["tried"] == 4
    assert {"code", "packages", "device", "data_fingerprint"} <= printed["provenance"].keys()
    # Trained elsewhere, without any database: the curve has the trial's bits.
    alone = {"TUNER_STORAGE": "postgresql://nobody@127.0.0.1:1/none"}
    out = tmp_path / "out"
    metrics = tuner("train", tmp_path / "best.yaml", "-o", out, "--json", **alone).json
    page = tuner.look("show", "plain", best["number"], "--json").json
    curve = {step: values["val_loss"] for step, values in metrics["curve"].items()}
    assert curve == page["curve"]
    compared = metrics["compared"]
    assert compared["this training"] == compared["the exported weights"]
    assert metrics["delivered"] == "this training"
    assert metrics["test"]["rows"] == 270
    # The card's example works as pasted, also where the folder was moved to.
    out.rename(tmp_path / "moved")
    assert re.match(
        r"\[\d\]\n\[\[",
        _paste(_example_of(tmp_path / "moved" / "model-card.md"), tmp_path / "moved"),
    )
    # Another seed gives the weights a rival; the better ones are delivered.
    other = tuner(
        "train", tmp_path / "best.yaml", "-o", tmp_path / "seed", "--set", "seed=1", "--set",
        "epochs=2", "--json",
    ).json  # fmt: skip
    low = min(other["compared"], key=other["compared"].get)
    assert other["delivered"] == low
    # A trial again from its record, and its suggestion.
    assert "reproduced bit for bit" in tuner("reproduce", "plain", best["number"]).out
    assert "has the same params" in tuner("reproduce", "plain", 3, "--suggestion").out
    # Confirmed by one machine, and shown; another one that comes later finds it done.
    confirmed = tuner("confirm", "plain", "--top", 2, "--seeds", 2, "--workers", 1, "--json").json
    assert confirmed["finished"]
    assert [len(c["values"]) for c in confirmed["candidates"]] == [2, 2]
    assert sum(c["probability_best"] for c in confirmed["candidates"]) == pytest.approx(1)
    assert tuner.look("confirm", "plain", "--show", "--json").json == confirmed
    for word in ("best", "status"):
        assert f"confirmed best: trial {confirmed['winner']}, " in tuner.look(word, "plain").out
        told = tuner.look(word, "plain", "--json").json["confirmation"]
        assert (told["winner"], told["finished"]) == (confirmed["winner"], True)
    again = tuner("run", "--study", "plain-confirm", "--workers", 1)
    assert "plain-confirm: finished, 4 of 4 trials" in again.out
    chosen = tuner.look("export", "plain", "--by", "confirmed", "--format", "json").json
    assert chosen["provenance"]["trial"] == confirmed["winner"]
    assert tuner.look("confirm", "plain", "--top", 3, code=2).err.count("--name") == 1
    shares = [f"{100 * c['probability_best']:.0f} %" for c in confirmed["candidates"]]
    with open_dashboard(tuner) as served:
        shown = [served.get(path).text for path in ("/s/plain", "/s/plain-confirm")]
        config = served.get(f"/s/plain/t/{confirmed['winner']}/best.yaml").text
    shown.append(tuner.look("report", "plain", "-o", "-").out)
    for page in shown:
        assert "Confirmed" in page
        assert all(f">{share}</td>" in page for share in shares)
    exported = tuner.look("export", "plain", "--trial", confirmed["winner"]).out
    assert _without_time(config) == _without_time(exported)


TRAIN = """\
def train(trial):
    import time
    state = trial.checkpoint.load() or {"step": 0, "sum": 0.0}
    for step in range(state["step"] + 1, trial.params["epochs"] + 1):
        state = {"step": step, "sum": state["sum"] + trial.params["x"]}
        trial.report(step=step, val_loss=1.0 / step)
        trial.checkpoint.save(state)
        time.sleep(trial.params.get("pause", 0.0))
"""


def _own(folder: Path) -> Path:
    (folder / "train.py").write_text(TRAIN)
    return write_study(
        folder,
        objective="train.py:train",
        params="{epochs: 4}",
        search_space="{x: {float: [0.1, 1]}}",
        budget="{trials: 3}",
    )


def test_a_function_is_shipped_and_no_database_says_which_code_runs(tuner: Tuner, tmp_path):
    study = _own(tmp_path)
    with (tmp_path / "train.py").open("a") as file:
        file.write(
            "\n\ndef test(trial):\n    return {'accuracy': trial.checkpoint.load()['step']}\n"
        )
    tuner("run", study, "--workers", 1, **LIGHT)
    tuner.look("export", "plain", "--file", study, "-o", tmp_path / "best.yaml")
    out = tmp_path / "out"
    trained = tuner("train", tmp_path / "best.yaml", "-o", out)
    assert "val_loss 0.25; delivered: the checkpoint of step 4" in trained.out
    assert "\ntest\n  accuracy  4.0\n" in trained.out
    assert _paste(_example_of(out / "model-card.md"), out) == "['step', 'sum']\n"
    for words in (
        ["run", "--study", "plain"],
        ["confirm", "plain", "--seeds", 2],
        ["reproduce", "plain", 0],
        ["export", "plain"],
        ["export", "plain", "--trial", 1, "--format", "json"],
    ):
        refused = tuner.look(*words, code=2)
        assert "a database may not choose the code that runs here" in refused.err
        assert f"(tuner {words[0]} " in refused.err
        assert "study 'plain' trains" in refused.err
        assert refused.out == ""
    assert "PARAM_x=" in tuner.look("export", "plain", "--format", "env").out  # names no code
    with open_dashboard(tuner) as served:
        assert "tuner export plain --trial 0 --file STUDY.yaml" in served.get("/s/plain/t/0").text
        refused = served.get("/s/plain/t/0/best.yaml")
        assert refused.status == 400
        assert "a database may not choose the code that runs here" in refused.text
    done = tuner("reproduce", "plain", 0, "--file", study, **LIGHT)
    assert "reproduced bit for bit (4 steps, value 0.25)" in done.out
    (tmp_path / "other").mkdir()
    other = _own(tmp_path / "other")
    other.write_text(other.read_text().replace("train.py:train", "os:getcwd"))
    assert "has another objective" in tuner.look("run", other, "--study", "plain", code=2).err
    assert "has another objective" in tuner.look("export", "plain", "--file", other, code=2).err


def test_a_config_that_somebody_sent_chooses_no_code(tuner: Tuner, tmp_path):
    marker = tmp_path / "was-imported"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mailed.py").write_text(f"open({str(marker)!r}, 'w').close()\n\n" + TRAIN)
    config = tmp_path / "best.yaml"
    content = "name: x\nobjective: {}\nminimize: val_loss\nparams: {{epochs: 1, x: 1}}\nseed: 1\n"
    config.write_text(content.format("mailed:train"))
    words = ["train", config, "-o", tmp_path / "out"]
    path = {"PYTHONPATH": str(elsewhere)}
    refused = tuner(*words, code=2, **path)  # a process: it may not import what is named
    assert "the config names mailed:train, which is no file below its folder" in refused.err
    assert "--allow-code mailed" in refused.err
    assert not marker.exists()
    assert not (tmp_path / "out").exists()
    trained = tuner(*words, "--allow-code", "other,mailed", **path)
    assert "val_loss 1.0" in trained.out
    assert marker.exists()
    again = "tuner train config.yaml --allow-code mailed,other -o ANOTHER_FOLDER"
    assert again in (tmp_path / "out" / "model-card.md").read_text()


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_final_training_that_is_ended_goes_on(tuner: Tuner, tmp_path, number):
    study = _own(tmp_path)
    with (tmp_path / "train.py").open("a") as file:
        file.write(
            "\n\ndef test(trial):\n    return {'accuracy': trial.checkpoint.load()['step']}\n"
        )
    tuner("run", study, "--workers", 1, **LIGHT)
    tuner("export", "plain", "--file", study, "-o", tmp_path / "best.yaml")
    out = tmp_path / "out"
    words = ["train", tmp_path / "best.yaml", "-o", out, "--set", "epochs=40", "--set", "pause=0.2"]
    process = tuner.start(*words)
    wait_until(lambda: bool(list(out.glob("checkpoint-*"))), "a first state")
    stopped = tuner.stop(process, number)
    assert stopped.code == (130 if number is signal.SIGINT else -number)
    if number is signal.SIGINT:
        assert "the same command continues" in stopped.err
    assert not (out / "model-card.md").exists()
    # Without the pauses it is another config, and is not mixed with this one.
    assert "another config" in tuner("train", *words[1:-2], code=2).err
    (out / "config.yaml").write_text(
        (out / "config.yaml").read_text().replace("  pause: 0.2\n", "")
    )
    resumed = tuner("train", *words[1:-2])
    assert "continues from step" in resumed.err
    metrics = json.loads((out / "metrics.json").read_text())
    assert sorted(map(int, metrics["curve"])) == list(range(1, 41))
    assert not list(out.glob("checkpoint-*"))
    assert "holds this training already" in tuner("train", *words[1:-2]).err


@pytest.mark.long
def test_a_model_of_ones_own_is_shipped_with_its_code(tuner: Tuner, tmp_path):
    net = (STUDIES / "own-model" / "net.py").read_text()
    (tmp_path / "net.py").write_text(net)
    space = "{learning_rate: {float: [1e-3, 3e-2], log: true}}"
    study = write_study(
        tmp_path,
        objective="{data: {sklearn: digits}, model: net.py:cnn}",
        params="{epochs: 1, kernel: 3, n_channels: 2, dropout: 0.1}",
        search_space=space,
        budget="{trials: 1}",
    )
    tuner("run", study, "--workers", 1)
    tuner("export", "plain", "--file", study, "-o", tmp_path / "best.yaml")
    (tmp_path / "net.py").write_text(net + "\n# another version\n")
    trained = tuner("train", tmp_path / "best.yaml", "-o", tmp_path / "out")
    assert "other code than the trial's: net.py" in trained.err
    (tmp_path / "net.py").unlink()
    out = (tmp_path / "out").rename(tmp_path / "moved")
    assert _paste(_example_of(out / "model-card.md"), out).startswith("[")


def test_a_study_without_a_complete_trial_is_code_5_and_unknown_ones_are_3(
    tuner: Tuner, finished: Tuner, tmp_path
):
    assert "did you mean 'plain'" in finished.look("export", "plian", code=3).err
    assert "no trial 99" in finished.look("export", "plain", "--trial", 99, code=3).err
    assert "no trial 99" in finished.look("reproduce", "plain", 99, code=3).err
    assert "did you mean" in finished.look("confirm", "plian", code=3).err
    (tmp_path / "train.py").write_text("def train(trial): raise ValueError('no')\n")
    failing = write_study(
        tmp_path,
        objective="train.py:train",
        search_space="{x: {float: [0, 1]}}",
        failures="{retries: 0}",
    )
    tuner("run", failing, "--workers", 1, code=None, **LIGHT)
    for words in (["export", "plain"], ["confirm", "plain", "--file", failing]):
        assert "has no COMPLETE trial" in tuner.look(*words, code=5).err


def test_what_is_in_the_way_is_left_alone(finished: Tuner, tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("name: a study file of mine\n")
    assert "is not an export of tuner" in finished.look("export", "plain", "-o", mine, code=2).err
    assert mine.read_text() == "name: a study file of mine\n"
    assert "is a folder" in finished.look("export", "plain", "-o", tmp_path, code=2).err
    refused = finished.look("export", "plain", "-o", tmp_path / "no" / "best.yaml", code=1)
    assert "cannot write" in refused.err
    for _ in range(2):  # an export of ours may be written over
        finished.look("export", "plain", "-o", tmp_path / "best.yaml", "--top", 2)
    assert sorted(p.name for p in tmp_path.glob("best*")) == ["best-1.yaml", "best-2.yaml"]
    (best, _) = finished.look("export", "plain", "--top", 2, "--format", "json").json
    assert best["name"] == "plain"
    asked = finished.look(
        "train", tmp_path / "best-1.yaml", "-o", tmp_path / "o", "--device", "cuda:7", code=7
    )
    assert "torch sees 0 GPUs here" in asked.err


def _without_time(text: str) -> list[str]:
    return [line for line in text.splitlines() if "exported_at" not in line]
