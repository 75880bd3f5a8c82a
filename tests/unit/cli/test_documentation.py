"""Help and README say the same: every command and option has both."""

import argparse
import re
import shlex
from pathlib import Path
from typing import get_args

import pytest

from tuner import errors
from tuner.agent import notices
from tuner.cli.parser.build import EXIT_CODES, build_parser
from tuner.results.progress import StudyState
from tuner.results.row_filters import STATES
from tuner.study_file.load import _KEYS as KEYS
from tuner.study_file.load import load_spec
from tuner.study_file.trainer_params import TRAINER_PARAMS

README = (Path(__file__).parents[3] / "README.md").read_text()


def _commands(
    parser: argparse.ArgumentParser | None = None, prefix: str = ""
) -> dict[str, argparse.ArgumentParser]:
    """Every command, those with a command of their own as `db url`."""
    found: dict[str, argparse.ArgumentParser] = {}
    actions = (parser or build_parser())._actions
    (group,) = (a for a in actions if isinstance(a, argparse._SubParsersAction))
    for name, command in group.choices.items():
        if any(isinstance(a, argparse._SubParsersAction) for a in command._actions):
            found |= _commands(command, f"{prefix}{name} ")
        else:
            found[prefix + name] = command
    return found


def _command_of(words: list[str]) -> str:
    """`db url` or `run`, of the words after `tuner`."""
    return " ".join(words[:2]) if " ".join(words[:2]) in _commands() else words[0]


def _options(parser: argparse.ArgumentParser) -> set[str]:
    return {name for action in parser._actions for name in action.option_strings}


@pytest.mark.parametrize("command", _commands())
def test_every_command_has_help_with_an_example_that_parses(command):
    text = _commands()[command].format_help()
    example = re.search(r"^example: (.*)$", text, re.M)
    assert example is not None
    words = shlex.split(example[1], comments=True)
    if words[0] == "tuner":
        assert _command_of(words[1:]) == command
        build_parser().parse_args(words[1:])
    else:
        assert f"tuner {command}" in example[1]


@pytest.mark.parametrize("command", _commands())
def test_every_argument_is_explained(command):
    assert all(action.help for action in _commands()[command]._actions)


@pytest.mark.parametrize("command", _commands())
def test_the_readme_names_every_command_and_its_options(command):
    row = re.search(rf"^\| `tuner {command}\b.*$", README, re.M)
    assert row is not None, "a row of the table of commands"
    common = {"-h", "--help", "--storage", "--require-tls", "--json"}
    missing = _options(_commands()[command]) - common
    assert {option for option in missing if option not in row[0]} == set()


def test_the_readme_names_no_command_or_option_that_does_not_exist():
    rows = re.findall(r"^\| `(tuner [^`]*)`(.*)$", README, re.M)
    assert len(rows) >= len(_commands())
    for usage, text in rows:
        name = _command_of(usage.split()[1:])
        if name.startswith("-"):
            continue
        known = _options(_commands()[name])
        assert set(re.findall(r"(?<![\w-])--[a-z-]+", usage + text)) <= known


def test_every_tuner_line_of_the_readme_parses():
    blocks = re.findall(r"^```(?:sh|console)\n(.*?)^```", README, re.M | re.S)
    names = "|".join({name.split()[0] for name in _commands()})
    inside = re.compile(rf"(?:/|\s)tuner ((?:{names})\b[^|&)\"]*)")  # of another command's line
    lines = [line for block in blocks for line in block.splitlines()]
    whole = [line.removeprefix("tuner ") for line in lines if line.startswith("tuner ")]
    rest = [line for line in lines if not line.startswith("tuner ")]
    parts = [found[1] for line in rest if (found := inside.search(line))]
    calls = [shlex.split(text, comments=True) for text in (*whole, *parts)]
    assert len(calls) >= 12
    for words in calls:
        build_parser().parse_args(words)


def test_the_study_file_of_the_readme_is_valid(tmp_path):
    examples = re.findall(r"^```yaml\n(.*?)^```", README, re.M | re.S)
    (example,) = (text for text in examples if text.startswith("name:"))
    file = tmp_path / "study.yaml"
    file.write_text(example)
    assert load_spec(file).name == "my-digits"


def test_the_readme_lists_every_key_of_a_study_file():
    rows = re.findall(r"^\| (`[a-z].*?) \| .*$", README, re.M)
    named = {name for row in rows for name in re.findall(r"`([a-zA-Z_.]+)`", row)}
    for key in KEYS.allowed:
        assert any(name.split(".")[0] == key for name in named), key


def test_the_readme_lists_every_parameter_of_the_trainer_with_its_default():
    rows = dict(re.findall(r"^\| `([a-z0-9_]+)` \| .* \| `([^`]+)` \|$", README, re.M))
    defaults = {name: str(param.default) for name, param in TRAINER_PARAMS.items()}
    assert defaults.items() <= rows.items()


def test_every_exit_code_is_in_the_help_and_in_the_readme():
    codes = {error.exit_code for error in vars(errors).values() if _is_tuner_error(error)}
    for code in codes | {0, 130, 143}:
        assert re.search(rf"(^|\s){code} \w", EXIT_CODES), code
        assert re.search(rf"^\| {code} \|", README, re.M), code


def _is_tuner_error(thing: object) -> bool:
    return isinstance(thing, type) and issubclass(thing, errors.TunerError)


def test_every_event_of_run_with_json_is_in_the_readme():
    rows = re.findall(r"^\| (`[A-Z][A-Za-z]+`(?:, `[A-Z][A-Za-z]+`)*) \|", README, re.M)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert {kind.__name__ for kind in get_args(notices.Notice)} | {"Summary"} <= named


def test_every_state_of_a_study_and_of_a_trial_is_explained():
    rows = set(re.findall(r"^\| `(\w+)` \| .* \|$", README, re.M))
    assert {*StudyState, *STATES} <= rows
