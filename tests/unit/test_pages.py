"""The pages agree with the code: tables, commands, options, keys, variables, links, examples."""

import ast
import json
import re
import shlex
from functools import cache
from pathlib import Path
from typing import get_args

import pytest
from ruamel.yaml import YAML

import tuner
from tests.pages import (
    FENCE,
    HAND_WRITTEN,
    PART,
    ROOT,
    TABLES,
    find_commands,
    find_pages,
    options_of,
    split_row,
    update,
)
from tuner import errors
from tuner.agent import notices
from tuner.cli.parser.build import build_parser
from tuner.results.progress import StudyState
from tuner.study.trial import TRIAL_STATES
from tuner.study_file.load import load_spec
from tuner.study_file.schema.document import build_schema

PAGES = {str(page.relative_to(ROOT)): page.read_text() for page in find_pages()}
USER_PAGES = {name: text for name, text in PAGES.items() if name != "tuner/README.md"}
ALL = "\n".join(PAGES.values())
COMMANDS_PAGE = PAGES["tuner/cli/README.md"]
OTHER_PROGRAMS = {"--long", "--check", "--profile", "--volumes", "--print"}
BASE = {
    "name": "page",
    "objective": {"data": {"sklearn": "digits"}, "model": "mlp"},
    "minimize": "val_loss",
    "params": {"epochs": 27},
    "search_space": {"learning_rate": {"float": [1e-4, 1e-1], "log": True}},
    "budget": {"trials": 100},
}


def blocks(kind: str, text: str = ALL) -> list[str]:
    """The code blocks of one language."""
    return [found[2] for found in FENCE.finditer(text) if found[1] == kind]


def spans(text: str) -> list[str]:
    """Inline code, each in one line."""
    return [
        " ".join(found.replace("\\|", "|").split())
        for found in re.findall(r"`([^`]+)`", FENCE.sub("", text))
    ]


def section(title: str) -> str:
    """A section of the page of commands."""
    return COMMANDS_PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


# --- generated parts ---


@pytest.mark.parametrize("name", PAGES)
def test_the_generated_parts_are_current(name):
    """`python -m tests.pages` writes them again."""
    assert update(PAGES[name]) == PAGES[name]


def test_every_table_and_every_command_is_on_a_page():
    names = [found[2] for found in PART.finditer(ALL)]
    assert sorted(names) == sorted([*TABLES, *(f"command {name}" for name in find_commands())])


def test_every_row_has_its_hand_written_cell():
    empty = []
    for found in PART.finditer(ALL):
        rows = [split_row(line) for line in found[3].splitlines() if line.startswith("|")]
        if rows and rows[0][-1] in HAND_WRITTEN:
            empty += [row[0] for row in rows if not row[-1]]
    assert empty == []


def test_no_page_has_a_marker_without_its_end():
    assert ALL.count("<!-- generated") == ALL.count("<!-- end -->") == len(PART.findall(ALL))


# --- names ---


def test_every_tuner_line_of_the_pages_parses():
    names = "|".join({name.split()[0] for name in find_commands()})
    inside = re.compile(rf"(?:/|\s)tuner ((?:{names})\b[^|&)\"]*)")  # of another command's line
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    whole = [line.removeprefix("tuner ") for line in lines if line.startswith("tuner ")]
    rest = [line for line in lines if not line.startswith("tuner ")]
    parts = [found[1] for line in rest if (found := inside.search(line))]
    calls = [shlex.split(text, comments=True) for text in (*whole, *parts)]
    assert len(calls) >= 25
    for words in calls:
        build_parser().parse_args(words)


def test_the_pages_name_no_command_or_option_that_does_not_exist():
    commands = find_commands()
    groups = {name.split()[0] for name in commands}
    every = set().union(*map(options_of, commands.values())) | {"--version"} | OTHER_PROGRAMS
    wrong = []
    for span in spans(ALL):
        options = set(re.findall(r"(?<![\w-])--[a-z-]+", span))
        words = re.sub(r"^TUNER_\w+=\S+ ", "", span).split()
        known = every
        if words[0] == "tuner" and len(words) > 1 and not words[1].startswith("-"):
            name = " ".join(words[1:3]) if " ".join(words[1:3]) in commands else words[1]
            if name not in commands and name not in groups and name != "...":
                wrong.append(span)
            known = options_of(commands[name]) if name in commands else every
        elif words[0] in ("ruff", "pytest", "pip", "docker", "torchrun"):
            continue
        wrong += [f"{option} in {span}" for option in options - known]
    assert wrong == []


@cache
def _keys() -> set[str]:
    """`budget` and `budget.trials`, of all sections."""
    found = set()
    for name, section in build_schema()["properties"].items():
        found.add(name)
        for kind in section.get("anyOf", [section]):
            for key, value in kind.get("properties", {}).items():
                found.add(f"{name}.{key}")
                for part in value.get("anyOf", [value]):
                    found |= {f"{name}.{key}.{k}" for k in part.get("properties", ())}
    return found


def test_the_pages_name_no_key_of_a_study_file_that_does_not_exist():
    sections = {key.split(".")[0] for key in _keys() if "." in key} - {"trial"}
    pattern = re.compile(rf"(?<![\w./])(?:{'|'.join(sections)})\.[a-z_][\w.]*\w(?![\w/])")
    named = {key for span in spans(ALL) for key in pattern.findall(span)}
    assert len(named) > 15
    assert {
        key for key in named if key not in _keys() and not key.endswith((".py", ".yaml"))
    } == set()


def test_the_pages_name_no_attribute_of_a_trial_that_does_not_exist():
    trial = tuner.Trial(params={})
    named = set(re.findall(r"\btrial\.([a-z_]+)", "\n".join([*USER_PAGES.values()])))
    assert {"params", "report", "checkpoint", "dir"} <= named
    known = {key.removeprefix("trial.") for key in _keys() if key.startswith("trial.")}
    assert {name for name in named - known - {"py"} if not hasattr(trial, name)} == set()


def test_the_pages_name_nothing_in_python_that_does_not_exist():
    text = "\n".join([*blocks("python"), *spans(ALL)])
    named = set(re.findall(r"\btuner\.([a-zA-Z]\w+)", text)) - {"py"}
    assert {"run", "load_study", "load_model", "load_state", "Trial"} <= named
    modules = {path.stem for path in (ROOT / "tuner").iterdir()} | {"study", "migration", "service"}
    assert {name for name in named - modules if not hasattr(tuner, name)} == set()
    of_a_study = set(
        re.findall(r"\bstudy\.(\w+)", PAGES["tuner/results/README.md"].split("## Opt")[0])
    )
    assert {"best", "is_confirmed", "dataframe", "trials", "refresh"} <= of_a_study
    assert {
        n for n in of_a_study - {"yaml"} if n not in dir(tuner.Study) and n != "trials"
    } == set()


def test_every_variable_that_the_code_reads_is_on_a_page_and_no_other():
    folders = (ROOT / "tuner", ROOT / "tests")
    sources = "\n".join(file.read_text() for folder in folders for file in folder.rglob("*.py"))
    sources += (ROOT / "docker-compose.yml").read_text()
    product = "\n".join(file.read_text() for file in (ROOT / "tuner").rglob("*.py"))
    read = set(re.findall(r"environ(?:\.get\(|\[)\"([A-Z]\w+)\"", product))
    named = {word for span in spans(ALL) for word in re.findall(r"\b[A-Z]{2,}_[A-Z_]+\b", span)}
    assert {"TUNER_HOME", "TUNER_STORAGE", "TUNER_REQUIRE_TLS", "NO_COLOR"} <= read
    assert {name for name in read if not name.startswith("PG") and name not in ALL} == set()
    assert {name for name in named if name not in sources} == set()


@pytest.mark.parametrize("option", ["--json", "--storage"])
def test_the_page_of_commands_names_those_without_a_common_option(option):
    lacking = [name for name, parser in find_commands().items() if option not in options_of(parser)]
    *others, last = sorted(map("`{}`".format, lacking))
    (row,) = re.findall(rf"^\| `{option}.*$", section("Options of all commands"), re.M)
    assert f"every command except {', '.join(others)} and {last}" in row


def test_every_exit_code_is_on_the_page_of_commands():
    codes = {
        error.exit_code
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, errors.TunerError)
    }
    for code in codes | {0, 130, 143}:
        assert re.search(rf"^\| {code} \|", COMMANDS_PAGE, re.M), code


def test_every_event_of_run_with_json_is_on_the_page_of_commands():
    rows = re.findall(r"^\| (`.*?) \|", section("Events of `tuner run --json`"), re.M)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named == {kind.__name__ for kind in get_args(notices.Notice)} | {"Summary"}


def test_every_state_of_a_study_and_of_a_trial_is_explained():
    rows = set(re.findall(r"^\| `(\w+)` \| .* \|$", section("States"), re.M))
    assert rows == {*StudyState, *TRIAL_STATES}


# --- links ---


def _slug(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    text = re.sub(r"[^\w\- ]", "", re.sub(r"`", "", heading).lower())
    return text.replace(" ", "-")


def _anchors(text: str) -> set[str]:
    return {_slug(title) for title in re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.M)}


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_to_a_file_and_a_heading_that_exist(name):
    text = FENCE.sub("", PAGES[name])
    wrong = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        path = (ROOT / name).parent / file if file else ROOT / name
        if not path.is_file() or (anchor and anchor not in _anchors(path.read_text())):
            wrong.append(target)
    assert wrong == []


def test_the_first_page_leads_to_every_other_page():
    targets = {
        target.split("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", PAGES["README.md"])
    }
    assert set(PAGES) - {"README.md"} <= targets


def test_the_first_page_stays_short():
    assert len(PAGES["README.md"].encode()) < 11_000


# --- examples ---


def _code_files(folder: Path) -> None:
    """The files that the study files of the pages name, with the code of the pages."""
    python = blocks("python", PAGES["studies/README.md"])
    for name, start in (("train.py", "def train("), ("net.py", "def cnn(")):
        (text,) = (block for block in python if block.startswith(start))
        (folder / name).write_text(text)


@pytest.mark.parametrize("text", blocks("yaml"))
def test_the_study_files_of_the_pages_are_valid(text, tmp_path):
    _code_files(tmp_path)
    given = YAML(typ="safe", pure=True).load(text)
    whole = text if "name" in given else json.dumps(BASE | given)
    file = tmp_path / "study.yaml"
    file.write_text(whole)
    spec = load_spec(file)
    assert spec.model_dump()["name"] == given.get("name", "page")


def test_there_are_examples_of_study_files():
    assert len(blocks("yaml")) >= 7


@pytest.mark.parametrize("text", blocks("python"))
def test_the_python_of_the_pages_parses(text):
    ast.parse(text)


def test_the_ten_lines_of_the_first_page_train():
    (text,) = blocks("python", PAGES["README.md"])
    lines = [line for line in text.splitlines() if line]
    assert len(lines) <= 10
    namespace: dict[str, object] = {}
    exec(text, namespace)
    trial = tuner.Trial(params={"alpha": 1e-4, "epochs": 2})
    namespace["train"](trial)
    assert [step for step, _ in trial.reports] == [1, 2]
