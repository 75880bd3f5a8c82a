"""A best config as text: what is written is what is read, by every reader of YAML."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.export.configs import make_config
from tuner.export.config_text import config_values, render_env, render_json, render_yaml
from tuner.study.secrets import remember
from tuner.study.trial import Direction
from tuner.study_file.best import Weights, load_best_config
from tuner.study_file.kinds.function import FunctionObjective

HOSTILE = [
    "no", "Null", "1e5", "0x10", ".inf", "~", "", " x ", "a: b", "# c", "- d", "'", '"', "é\u2028",
    "\x1b[31m", "\u202e", "😀", "a\nb", "&a", "*a", "!!python/object:os.system", "{x",
    "%", "@", "`",
]  # fmt: skip


def _reread(tmp_path: Path, config):
    file = tmp_path / "best.yaml"
    file.write_text(render_yaml(config, head="tuner: a test"))
    return load_best_config(file)


def test_what_is_written_is_read_again(tmp_path):
    weights = Weights(file="best.safetensors", sha256="0" * 64)
    assert _reread(tmp_path, make_config(weights=weights)) == make_config(weights=weights)


@pytest.mark.parametrize("text", HOSTILE)
def test_any_text_survives_and_none_is_yaml_of_its_own(text, tmp_path):
    (tmp_path / "train.py").write_text("def train(trial): ...\n")
    config = make_config(
        objective=FunctionObjective(function="train.py:train"),
        params={"x": text},
        provenance={"study": "digits", "sampler": text},
    )
    assert _reread(tmp_path, config) == config
    assert yaml.safe_load((tmp_path / "best.yaml").read_text())["params"]["x"] == text


@settings(max_examples=200, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**53), 2**53))
def test_numbers_keep_every_bit_and_their_type(real, whole):
    config = make_config(
        objective=FunctionObjective(function="lab.nets:train"), params={"x": real, "n": whole}
    )
    found = yaml.safe_load(render_yaml(config, head="x"))["params"]
    assert (found, type(found["x"]), type(found["n"])) == ({"x": real, "n": whole}, float, int)
    assert json.loads(render_json(config))["params"] == {"x": real, "n": whole}


def test_a_shell_reads_the_variables_and_runs_nothing(tmp_path):
    hostile = "$(touch owned) `touch owned` '; touch owned #"
    config = make_config(
        objective=FunctionObjective(function="lab.nets:train"),
        params={"PATH": "/nowhere", "text": hostile, "flag": True, "rate": 1e-05},
        direction=Direction.MAXIMIZE,
    )
    (tmp_path / "best.env").write_text(render_env(config))
    script = (
        '. ./best.env; printf "%s|" "$PARAM_text" "$PARAM_flag" "$PARAM_rate" "$TUNER_TRIAL"; ls'
    )
    done = subprocess.run(
        ["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{hostile}|true|1e-05|4|best.env\n"


def test_no_password_is_written():
    remember("canary-in-an-export")
    config = make_config(provenance={"study": "digits", "note": "canary-in-an-export"})
    for text in (render_yaml(config, head="canary-in-an-export"), render_json(config)):
        assert "canary" not in text


def test_values_come_in_the_order_of_the_file():
    assert list(config_values(make_config()))[:5] == [
        "format", "name", "objective", "minimize", "params",
    ]  # fmt: skip
