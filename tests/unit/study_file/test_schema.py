"""The JSON Schema of study files says what the reader says."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML, YAMLError

from tests.unit.study_file.test_malformed_files import CASES, GOOD
from tuner.errors import StudyFileError
from tuner.study_file.algorithms.reading import PRUNERS, SAMPLERS
from tuner.study_file.load import load_spec
from tuner.study_file.schema.document import build_schema

STUDIES = sorted((Path(__file__).parents[3] / "studies").glob("*.yaml"))
SCHEMA = json.loads(json.dumps(build_schema()))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def parse(text):
    return json.loads(json.dumps(YAML(typ="safe", pure=True).load(text)))


def is_valid(text):
    return VALIDATOR.is_valid(parse(text))


def test_the_schema_itself_is_valid():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.name)
def test_every_example_study_is_valid(path):
    assert list(VALIDATOR.iter_errors(parse(path.read_text()))) == []


def test_what_the_reader_accepts_is_valid():
    for change in (
        "sampler: {tpe: {n_startup_trials: 3}}",
        "sampler: random",
        "pruner: {asha: {min_resource: 2}}",
        "pruner: [median, {threshold: {upper: 3.0}}]",
        "pruner: {patient: {patience: 5, wrapped: {asha: {min_resource: 3}}}}",
        "sampler: {qmc: {qmc_type: halton}}",
        "seed: 7\nworkers: {processes: 2}",
        "failures: {lease: 10s, grace: 9s, retries: 0}",
        "checkpoints: {every: 1m30s}",
    ):
        key = change.split(":")[0]
        kept = [line for line in GOOD.splitlines() if not line.startswith(f"{key}:")]
        assert is_valid("\n".join([*kept, change])), change


# The others only the reader can judge: relations between values, and what YAML itself allows.
@pytest.mark.filterwarnings("ignore::ruamel.yaml.error.YAMLWarning")
def test_most_of_the_malformed_corpus_is_refused():
    refused, total = 0, 0
    for case in CASES:
        text = GOOD.replace(case["old"], case["new"], 1)
        try:
            document = parse(text)
        except (YAMLError, ValueError, TypeError, RecursionError):
            continue
        total += 1
        refused += not VALIDATOR.is_valid(document)
    assert total > 60
    assert refused / total > 0.6, (refused, total)


SECTIONS = {
    "": "zzz: 1",
    "objective": "objective: {data: {sklearn: digits}, model: mlp, zzz: 1}",
    "objective.data": "objective: {data: {sklearn: digits, zzz: 1}, model: mlp}",
    "objective.report": "objective: {command: [a, '{args}'], report: {csv: a, zzz: 1}}",
    "budget": "budget: {zzz: 1}",
    "trial": "trial: {zzz: 1}",
    "workers": "workers: {zzz: 1}",
    "checkpoints": "checkpoints: {zzz: 1}",
    "failures": "failures: {zzz: 1}",
    "search_space.width": "search_space: {width: {int: [1, 2], zzz: 1}}",
}


@pytest.mark.parametrize("section", SECTIONS)
def test_the_keys_of_every_section_are_the_readers(section, tmp_path):
    key = SECTIONS[section].split(":")[0]
    kept = re.sub(rf"^{key}:.*\n(  .*\n)*", "", GOOD, flags=re.M)
    file = tmp_path / "study.yaml"
    file.write_text(f"{kept}{SECTIONS[section]}\n")
    with pytest.raises(StudyFileError) as refused:
        load_spec(file)
    (fault,) = [f.message for f in refused.value.faults if "zzz" in f.path]
    allowed = set(fault.split("allowed: ")[1].split(", "))
    assert _properties(section) == allowed


def _properties(section):
    if section == "":
        return set(SCHEMA["properties"])
    if section == "search_space.width":
        options = SCHEMA["properties"]["search_space"]["additionalProperties"]["oneOf"]
        return {name for option in options for name in option["properties"]}
    part = SCHEMA["properties"][section.split(".")[0]]
    if section.startswith("objective"):
        key = "command" if section.startswith("objective.report") else "data"
        part = next(option for option in part["anyOf"] if key in option.get("properties", ()))
    for name in section.split(".")[1:]:
        part = part["properties"][name]
    if "anyOf" in part:  # a branch for each source
        part = next(option for option in part["anyOf"] if "sklearn" in option["properties"])
    return set(part["properties"])


@pytest.mark.parametrize(
    ("path", "low", "high"),
    [
        ("seed", 0, 2**32 - 1),
        ("workers.processes", 1, 64),
        ("failures.retries", 0, 100),
        ("budget.trials", 1, 10_000_000),
        ("budget.epochs", 1, 10**12),
        ("params.width", 1, 65_536),
    ],
)
def test_bounds_are_the_readers(path, low, high, tmp_path):
    file = tmp_path / "study.yaml"
    file.write_text(GOOD)
    for value, is_right in ((low, True), (high, True), (low - 1, False), (high + 1, False)):
        try:
            load_spec(file, [f"{path}={value}"])
            read = True
        except StudyFileError:
            read = False
        document = parse(GOOD)
        section, _, key = path.rpartition(".")
        (document.setdefault(section, {}) if section else document)[key] = value
        assert (read, VALIDATOR.is_valid(document)) == (is_right, is_right), value


@pytest.mark.parametrize(("kind", "table"), [("sampler", SAMPLERS), ("pruner", PRUNERS)])
def test_every_setting_of_every_algorithm_has_a_type(kind, table):
    found = SCHEMA["properties"]["sampler"] if kind == "sampler" else SCHEMA["$defs"]["pruner"]
    bare, *others = found["anyOf"]
    settings = {name: part["properties"] for o in others for name, part in o["properties"].items()}
    assert set(bare["enum"]) | set(settings) == set(table)
    for name, known in table.items():
        for key in known:
            assert {"type", "enum"} & settings[name][key].keys(), (name, key)


@pytest.mark.parametrize(
    "wrong",
    [
        "sampler: {tpe: {n_startup_trials: -1}}",
        "sampler: {tpe: {nothing: 1}}",
        "sampler: {qmc: {qmc_type: none}}",
        "pruner: patient",
        "pruner: {percentile: {percentile: 101}}",
        "pruner: [asha, nothing]",
        "pruner: {patient: {patience: 5, wrapped: nothing}}",
    ],
)
def test_wrong_settings_are_refused_by_both(wrong, tmp_path):
    kept = [line for line in GOOD.splitlines() if not line.startswith(wrong.split(":")[0])]
    text = "\n".join([*kept, wrong, ""])
    assert not is_valid(text)
    file = tmp_path / "study.yaml"
    file.write_text(text)
    with pytest.raises(StudyFileError):
        load_spec(file)
