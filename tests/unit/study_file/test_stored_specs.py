"""Specs that earlier versions stored: they still load, and compare equal to their files."""

import json
from pathlib import Path
from typing import Any

import pytest

from tuner.study_file.identity import compare_specs, dump_spec, keep_defaults, parse_spec
from tuner.study_file.load import load_study_file

# One object a line: "stored" is the JSON of a spec in the database, "file" its study file, where
# there is one. Lines are added, and never changed: they are what databases hold.
CORPUS = [
    json.loads(line)
    for line in Path(__file__).with_name("stored_specs.jsonl").read_text().splitlines()
]
WITH_FILE = [entry for entry in CORPUS if "file" in entry]
CODE = {
    "train.py": "def train(trial):\n    return 0.0\n",
    "net.py": "def net(n_features, n_outputs, kernel=3): ...\n\n\ndef focal(outputs, y): ...\n",
}


def _ids(entry: dict[str, Any]) -> str:
    return str(entry["name"])


@pytest.mark.parametrize("entry", CORPUS, ids=_ids)
def test_a_stored_spec_loads_and_is_stored_again_as_it_was(entry: dict[str, Any]) -> None:
    spec = parse_spec(entry["stored"])
    assert _only(dump_spec(spec), entry["stored"]) == entry["stored"]


def _only(value: Any, like: Any) -> Any:
    """The keys of `like` alone: a version may add keys with defaults, at any depth."""
    if isinstance(like, dict):
        return {key: _only(value[key], like[key]) for key in like}
    return value


@pytest.mark.parametrize("entry", WITH_FILE, ids=_ids)
def test_its_study_file_still_means_the_stored_study(entry: dict[str, Any], tmp_path: Path) -> None:
    for name, text in CODE.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "study.yaml").write_text(entry["file"])
    stored, loaded = parse_spec(entry["stored"]), load_study_file(tmp_path / "study.yaml")
    compared = compare_specs(stored, keep_defaults(stored, loaded.spec, loaded.unnamed))
    assert (compared.identity, compared.notices) == ((), ())
