"""A corpus of wrong command lines: each with its exit code and the sentence that answers it.

`command_lines.jsonl` holds one a line; GOOD stands for a study file that is valid. Nothing is
written, and nothing is started.
"""

import json
import os
from pathlib import Path

import pytest

from tuner.cli.main import main

CASES = [
    json.loads(line)
    for line in (Path(__file__).parent / "command_lines.jsonl").read_text().splitlines()
]
GOOD = """\
name: digits
objective:
  data: {sklearn: digits}
  model: mlp
minimize: val_loss
params: {epochs: 27}
search_space:
  learning_rate: {float: [1e-4, 1e-1], log: true}
  n_layers: {int: [1, 4]}
sampler: tpe
pruner: asha
budget: {trials: 100}
"""


@pytest.fixture
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """We stand in an empty folder, with a home that nobody has used."""
    for name in list(os.environ):
        if name.startswith(("PG", "TUNER_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TUNER_HOME", str(tmp_path / "home"))
    (tmp_path / "here").mkdir()
    (tmp_path / "good.yaml").write_text(GOOD)
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def call(words: list[str]) -> int:
    """The exit code, however the command ends."""
    try:
        return main(words)
    except SystemExit as ended:
        return int(ended.code or 0)


@pytest.mark.parametrize("case", CASES, ids=[ascii(case["argv"]) for case in CASES])
def test_a_wrong_command_line_is_answered_with_one_sentence(case, empty_folder, capfd):
    good = str(empty_folder / "good.yaml")
    words = [good if word == "GOOD" else word for word in case["argv"]]
    assert call(words) == case["code"]
    shown = capfd.readouterr()
    assert shown.out == ""
    assert "Traceback" not in shown.err
    *usage, sentence = shown.err.rstrip("\n").split("\n")
    assert sentence.replace(good, "GOOD") == case["sentence"]
    assert not usage or usage[0].startswith("usage: tuner") or "--set" in usage[0]
    assert list((empty_folder / "here").iterdir()) == []
    home = empty_folder / "home"
    assert [path for path in home.rglob("*") if path.is_file()] == []


def test_the_corpus_is_large_enough_and_unique():
    assert len({tuple(case["argv"]) for case in CASES}) == len(CASES) >= 80


@pytest.mark.parametrize("columns", ["1", "20", "0", "nonsense"])
def test_a_narrow_terminal_is_enough(columns, empty_folder, monkeypatch, capfd):
    monkeypatch.setenv("COLUMNS", columns)
    assert call(["--help"]) == 0
    assert call(["status"]) == 0
    assert call(["check", str(empty_folder / "good.yaml")]) == 0
    assert "no study yet" in capfd.readouterr().out
