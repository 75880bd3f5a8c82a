"""The help of every command: an example that parses, and a meaning for every argument."""

import re
import shlex

import pytest

from tests.pages import find_commands
from tuner import errors
from tuner.cli.parser.build import EXIT_CODES, build_parser

COMMANDS = find_commands()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example_that_parses(command):
    text = COMMANDS[command].format_help()
    example = re.search(r"^example: (.*)$", text, re.M)
    assert example is not None
    words = shlex.split(example[1], comments=True)
    if words[0] == "tuner":
        assert words[1:][: len(command.split())] == command.split()
        build_parser().parse_args(words[1:])
    else:
        assert f"tuner {command}" in example[1]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_argument_is_explained(command):
    assert all(action.help for action in COMMANDS[command]._actions)


def test_every_exit_code_is_in_the_help():
    codes = {error.exit_code for error in vars(errors).values() if _is_tuner_error(error)}
    for code in codes | {0, 130, 143}:
        assert re.search(rf"(^|\s){code} \w", EXIT_CODES), code


def _is_tuner_error(thing: object) -> bool:
    return isinstance(thing, type) and issubclass(thing, errors.TunerError)
