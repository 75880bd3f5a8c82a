"""Models and losses of the user's own in a study file: what can be said without running them."""

import json
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from tuner.errors import StudyFileError
from tuner.study_file.identity import compare_specs, dump_spec, parse_spec
from tuner.study_file.load import load_spec
from tuner.study_file.model import StudySpec
from tuner.study_file.params.space import Choice, FloatRange
from tuner.study_file.schema.document import build_schema

STUDY = """\
name: own
objective:
  data: {{sklearn: digits}}
  model: {model}
  loss: {loss}
minimize: val_loss
params: {{epochs: 3, kernel: 5, kind: wide}}
search_space:
  learning_rate: {{float: [1e-3, 1], log: true}}
  batch_size: {{choice: [16, 32]}}
  share: {{float: [0, 0.5]}}
  shape: {{choice: [round, 2]}}
budget: {{trials: 5}}
"""
BODY = "    raise SystemExit('nobody may run this')\n"
NET = f"class Net: ...\ndef cnn(n_features, n_outputs, kernel):\n{BODY}def fit(outputs, y):\n{BODY}"


def write(folder: Path, source: str = NET, model: str = "net.py:cnn", loss: str = "net.py:fit"):
    (folder / "net.py").write_text(source)
    path = folder / "study.yaml"
    path.write_text(STUDY.format(model=model, loss=loss))
    return path


def faults_of(path: Path) -> list[str]:
    with pytest.raises(StudyFileError) as caught:
        load_spec(path)
    return [f"{fault.path}: {fault.message}" for fault in caught.value.faults]


def without_loss(path: Path) -> StudySpec:
    path.write_text(path.read_text().replace("  loss: net.py:fit\n", ""))
    return load_spec(path)


def test_a_model_and_a_loss_are_found_and_not_run(tmp_path):
    spec = load_spec(write(tmp_path, NET + "\nraise SystemExit('nor this')\n"))
    assert (spec.objective.model, spec.objective.loss) == ("net.py:cnn", "net.py:fit")
    assert spec.objective.has_own_model
    assert spec.n_steps == 3
    assert parse_spec(json.loads(json.dumps(dump_spec(spec)))) == spec


def test_params_of_its_own_have_any_name_and_type_those_of_the_trainer_their_own(tmp_path):
    spec = load_spec(write(tmp_path))
    assert spec.params == {"epochs": 3, "kernel": 5, "kind": "wide"}
    assert spec.search_space["share"] == FloatRange(low=0, high=0.5)
    assert spec.search_space["shape"] == Choice(choices=("round", 2))
    path = write(tmp_path)
    path.write_text(path.read_text().replace("[16, 32]", "[16, many]"))
    assert faults_of(path) == [
        "search_space.batch_size.choice[1]: must be a whole number from 1 to 1000000, not 'many'"
    ]


def test_without_a_model_of_ones_own_no_other_names_are_known(tmp_path):
    faults = faults_of(write(tmp_path, model="mlp"))
    assert [fault.split(";")[0] for fault in faults] == [
        "params.kernel: unknown trainer parameter",
        "params.kind: unknown trainer parameter",
        "search_space.share: unknown trainer parameter",
        "search_space.shape: unknown trainer parameter",
    ]


def test_a_broken_model_brings_no_faults_of_its_params(tmp_path):
    (fault,) = faults_of(write(tmp_path, model="net.py:cn"))
    assert fault == "objective.model: net.py has no function 'cn'; did you mean cnn?"


@pytest.mark.parametrize("model", ["net.py:Net", "my.package.nets:resnet", "net.py:cnn"])
def test_a_class_and_a_module_are_left_to_the_run(model, tmp_path):
    assert load_spec(write(tmp_path, model=model)).objective.model == model


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        (
            f"def cnn(n_outputs):\n{BODY}def fit(outputs):\n{BODY}",
            "objective.loss: net.py:3: fit must take two arguments: def fit(outputs, y)",
        ),
        (
            f"def cnn(n_outputs):\n{BODY}async def fit(outputs, y):\n{BODY}",
            "objective.loss: net.py:3: fit is async; write a plain `def fit(outputs, y)`",
        ),
        (
            f"async def cnn():\n{BODY}def fit(outputs, y, weight=1):\n{BODY}",
            "objective.model: net.py:1: cnn is async; write a plain "
            "`def cnn(n_features, n_outputs)`",
        ),
    ],
)
def test_a_wrong_definition_is_located(source, fault, tmp_path):
    assert faults_of(write(tmp_path, source)) == [fault]


def test_both_are_part_of_the_studys_identity(tmp_path):
    spec = load_spec(write(tmp_path))
    other = load_spec(write(tmp_path, model="net.py:Net"))
    assert [d.path for d in compare_specs(spec, other).identity] == ["objective.model"]
    plain = without_loss(write(tmp_path))
    assert [(d.path, d.given) for d in compare_specs(spec, plain).identity] == [
        ("objective.loss", "nothing")
    ]
    assert "objective.loss" not in str(compare_specs(plain, plain))


def test_a_study_of_before_there_were_losses_reads_as_before(tmp_path):
    spec = without_loss(write(tmp_path))
    stored = dump_spec(spec)
    del stored["objective"]["loss"]
    assert parse_spec(stored) == spec


@pytest.mark.parametrize(
    ("changes", "is_right"),
    [
        ({}, True),
        ({"model: net.py:cnn": "model: net"}, False),
        ({"loss: net.py:fit": "loss: cross_entropy"}, True),
        ({"loss: net.py:fit": "loss: entropy"}, False),
        ({"loss: net.py:fit": "loss: {mse: {delta: 2}}"}, False),
        ({"kernel: 5": "n_outputs: 5"}, False),
        ({"kernel: 5": "schedule: cosine"}, True),
        ({"kernel: 5": "width: wide"}, False),
        ({"model: net.py:cnn": "model: mlp"}, False),
        ({"share:": "epochs:", "epochs: 3": "width: 3"}, False),
        ({"share:": "n_features:"}, False),
    ],
)
def test_the_schema_says_the_same(changes, is_right, tmp_path):
    path = write(tmp_path)
    text = path.read_text()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    try:
        load_spec(path)
        read = True
    except StudyFileError:
        read = False
    document = json.loads(json.dumps(YAML(typ="safe", pure=True).load(text)))
    is_valid = jsonschema.Draft202012Validator(build_schema()).is_valid(document)
    assert (read, is_valid) == (is_right, is_right)


def test_label_smoothing_does_not_go_with_an_own_loss(tmp_path):
    path = write(tmp_path)
    path.write_text(path.read_text().replace("kernel: 5", "kernel: 5, label_smoothing: 0.1"))
    assert faults_of(path) == [
        "params.label_smoothing: has an effect only with the loss cross_entropy; remove it"
    ]
    without = path.read_text().replace("  loss: net.py:fit\n", "")
    path.write_text(without)
    assert load_spec(path).params["label_smoothing"] == 0.1


def _structural(path: Path, *overrides: str) -> frozenset[str]:
    return load_spec(path, overrides).structural_params


def test_which_params_decide_with_whom_a_lane_may_share_a_stack(tmp_path):
    assert _structural(write(tmp_path)) == {"batch_size", "share", "shape"}
    plain = tmp_path / "plain.yaml"
    plain.write_text(
        "name: plain\nobjective: {data: {sklearn: digits}, model: mlp}\nminimize: val_loss\n"
        "search_space:\n  learning_rate: {float: [1e-3, 1], log: true}\nbudget: {trials: 1}\n"
    )
    of_the_mlp = {"width", "batch_size", "activation", "precision"}
    assert _structural(plain) == of_the_mlp
    assert _structural(plain, "search_space.precision={choice: [float32]}") == of_the_mlp
    for change in ("params.precision=bfloat16", "search_space.precision={choice: [bfloat16]}"):
        assert _structural(plain, change) == of_the_mlp | {"n_layers", "dropout"}
    (tmp_path / "train.py").write_text("def train(trial): ...\n")
    assert _structural(plain, "objective=train.py:train") == frozenset()


PLAIN = """\
name: plain
objective: {{data: {{sklearn: {data}}}, model: mlp{rest}}}
minimize: val_loss
search_space: {{learning_rate: {{float: [1e-3, 1], log: true}}}}
budget: {{trials: 5}}
"""


def _plain(folder: Path, data: str = "digits", rest: str = "") -> StudySpec:
    path = folder / "plain.yaml"
    path.write_text(PLAIN.format(data=data, rest=rest))
    return load_spec(path)


@pytest.mark.parametrize(
    ("data", "rest", "same_as"),
    [
        ("digits", ", loss: cross_entropy", ""),
        ("digits", ", loss: {cross_entropy: {class_weight: none}}", ""),
        ("digits", ", metrics: [accuracy]", ""),
        ("diabetes", ", loss: mse, metrics: [r2, mae]", ""),
        ("diabetes", ", loss: {huber: {delta: 1}}", ", loss: huber"),
    ],
)
def test_a_written_default_is_the_same_study(data, rest, same_as, tmp_path):
    given, wanted = _plain(tmp_path, data, rest), _plain(tmp_path, data, same_as)
    assert compare_specs(wanted, given).identity == ()
    assert given.objective.written() == wanted.objective.written()


@pytest.mark.parametrize(
    ("data", "rest", "difference"),
    [
        (
            "digits",
            ", loss: {cross_entropy: {class_weight: balanced}}",
            ("objective.loss.cross_entropy.class_weight", "nothing", "balanced"),
        ),
        ("diabetes", ", loss: huber", ("objective.loss", "nothing", "huber")),
        ("digits", ", metrics: [f1, auroc]", ("objective.metrics", "nothing", "[f1, auroc]")),
    ],
)
def test_another_loss_or_metric_is_another_study(data, rest, difference, tmp_path):
    stored, given = _plain(tmp_path, data), _plain(tmp_path, data, rest)
    (found,) = compare_specs(stored, given).identity
    assert (found.path, found.stored, found.given) == difference
    assert parse_spec(json.loads(json.dumps(dump_spec(given)))) == given
    path = tmp_path / "again.yaml"
    path.write_text(PLAIN.format(data=data, rest=rest))
    text = YAML(typ="safe", pure=True).load(path.read_text())
    assert jsonschema.Draft202012Validator(build_schema()).is_valid(text)
