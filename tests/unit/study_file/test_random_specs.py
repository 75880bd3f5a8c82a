"""Random studies: valid ones load and mean the same in any order, one broken field is named."""

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tuner.errors import StudyFileError
from tuner.study_file.identity import compare_specs, dump_spec, parse_spec
from tuner.study_file.load import load_spec

SETTINGS = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
FINITE = st.floats(1e-6, 1e6, allow_nan=False)


@st.composite
def ranges(draw: st.DrawFn) -> dict[str, Any]:
    """One parameter of a function."""
    match draw(st.sampled_from(["float", "log", "int", "step", "choice"])):
        case "float":
            low, high = sorted((draw(FINITE), draw(FINITE)))
            return {"float": [low, high + 1]}
        case "log":
            low, high = sorted((draw(FINITE), draw(FINITE)))
            return {"float": [low, high * 2], "log": True}
        case "int":
            low, width = draw(st.integers(-1000, 1000)), draw(st.integers(1, 1000))
            return {"int": [low, low + width]}
        case "step":
            low, step = draw(st.integers(-9, 9)), draw(st.integers(1, 9))
            return {"int": [low, low + step * draw(st.integers(1, 9))], "step": step}
        case _:
            kinds = st.integers(-9, 9) | st.sampled_from(["a", "b", "yes", "1e5", "null"])
            return {"choice": draw(st.lists(kinds, min_size=2, max_size=5, unique_by=str))}


NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,12}", fullmatch=True)
SAMPLERS = st.sampled_from(
    ["tpe", "random", "qmc", {"tpe": {"n_startup_trials": 3}}, {"nsga2": {"population_size": 9}}]
)
PRUNERS = st.sampled_from(
    [
        "asha",
        "none",
        "median",
        {"asha": {"reduction_factor": 4}},
        [{"percentile": {"percentile": 30}}],
    ]
)


@st.composite
def studies(draw: st.DrawFn) -> dict[str, Any]:
    """A valid study file as data."""
    space = draw(
        st.dictionaries(NAMES.filter(lambda n: n != "epochs"), ranges(), min_size=1, max_size=6)
    )
    study = {
        "name": draw(st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}", fullmatch=True)),
        "objective": "mylab.vision:train",
        draw(st.sampled_from(["minimize", "maximize"])): draw(NAMES),
        "params": {"epochs": draw(st.integers(1, 10_000))},
        "search_space": space,
        "sampler": draw(SAMPLERS),
        "pruner": draw(PRUNERS),
        "budget": {"trials": draw(st.integers(1, 10_000_000))},
        "seed": draw(st.integers(0, 2**32 - 1)),
    }
    return study


def load(folder: Path, study: dict[str, Any]) -> Any:
    path = folder / "study.yaml"
    path.write_text(json.dumps(study, indent=1))
    return load_spec(path)


def shuffled(value: Any, rng: random.Random) -> Any:
    """The same with its keys in another order; lists keep theirs."""
    if isinstance(value, dict):
        keys = list(value)
        rng.shuffle(keys)
        return {key: shuffled(value[key], rng) for key in keys}
    return value


@SETTINGS
@given(study=studies(), seed=st.integers(0, 1000))
def test_a_valid_study_loads_and_is_the_same_in_any_order(study, seed, tmp_path):
    spec = load(tmp_path, study)
    again = load(tmp_path, shuffled(study, random.Random(seed)))
    comparison = compare_specs(spec, again)
    assert comparison.identity == comparison.notices == ()
    assert parse_spec(json.loads(json.dumps(dump_spec(spec)))) == spec


def _broken_range(study: dict[str, Any]) -> str:
    name = next(iter(study["search_space"]))
    study["search_space"][name] = {"float": [2, 1]}
    return f"search_space.{name}"


def _broken_choice(study: dict[str, Any]) -> str:
    name = next(iter(study["search_space"]))
    study["search_space"][name] = {"choice": [[1], 2]}
    return f"search_space.{name}"


def _set(key: str, value: Any, path: str = "") -> Any:
    def change(study: dict[str, Any]) -> str:
        study[key] = value
        return path or key

    return change


BROKEN = {
    "seed": _set("seed", -1),
    "seed as text": _set("seed", "seven"),
    "no trials": _set("budget", {"trials": 0}, "budget.trials"),
    "half a trial": _set("budget", {"trials": 1.5}, "budget.trials"),
    "limit misspelt": _set("budget", {"trails": 9}, "budget.trails"),
    "time without unit": _set("budget", {"time": 90}, "budget.time"),
    "sampler": _set("sampler", "tpo"),
    "its setting": _set("sampler", {"tpe": {"n_startup": 1}}, "sampler.tpe.n_startup"),
    "pruner": _set("pruner", {"asha": {"min_resource": 0}}, "pruner.asha.min_resource"),
    "range": _broken_range,
    "choice": _broken_choice,
    "range as a fixed value": _set("params", {"epochs": [1, 2]}, "params.epochs"),
    "path as a name": _set("name", "../../etc/passwd", "name"),
    "unknown key": _set("colour", "red"),
    "objective": _set("objective", "mylab.vision", "objective"),
    "lease": _set("failures", {"lease": "0.1s"}, "failures.lease"),
}


@pytest.mark.parametrize("case", BROKEN)
@settings(SETTINGS, max_examples=10)
@given(study=studies())
def test_one_broken_field_is_named_with_its_line_and_no_other(case, study, tmp_path):
    path = BROKEN[case](study)
    with pytest.raises(StudyFileError) as caught:
        load(tmp_path, study)
    faults = caught.value.faults
    assert {fault.path.split("[")[0] for fault in faults} <= {path, *_below(path, faults)}
    assert faults[0].path.startswith(path)
    key = path.split(".")[0]
    line = next(n for n, text in enumerate(_lines(tmp_path), 1) if f'"{key}"' in text)
    assert faults[0].line >= line


def _below(path: str, faults: Any) -> set[str]:
    return {f.path.split("[")[0] for f in faults if f.path.startswith(path)}


def _lines(folder: Path) -> list[str]:
    return (folder / "study.yaml").read_text().splitlines()


@settings(SETTINGS, max_examples=300)
@given(name=st.text(max_size=80) | st.from_regex(r"[./~A-Za-z0-9_-]{0,70}", fullmatch=True))
def test_a_name_is_plain_or_refused(name, tmp_path):
    study = {
        "name": name,
        "objective": "a:b",
        "minimize": "x",
        "search_space": {"x": {"int": [1, 2]}},
        "budget": {"trials": 1},
        "params": {"epochs": 1},
    }
    try:
        spec = load(tmp_path, study)
    except StudyFileError as error:
        paths = {fault.path for fault in error.faults}
    else:
        paths = set()
    assert paths <= {"name", ""}
    if paths:
        return
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}", spec.name)
    assert (tmp_path / spec.name).resolve().parent == tmp_path.resolve()
