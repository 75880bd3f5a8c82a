"""The common parts of all commands' parsers."""

import argparse
import re
from collections.abc import Collection
from difflib import get_close_matches
from typing import NoReturn, TypeAlias

from tuner.cli.parser import arguments

STORAGE_HELP = (
    "database URL without a password, such as postgresql://user@host/name "
    "(default: $TUNER_STORAGE, else this machine's embedded Postgres)"
)
TLS_HELP = "refuse an unencrypted connection to another machine (default: $TUNER_REQUIRE_TLS)"

Commands: TypeAlias = "argparse._SubParsersAction[Parser]"


class Parser(argparse.ArgumentParser):
    """An argparse parser that suggests the closest name for an unknown one."""

    def error(self, message: str) -> NoReturn:
        """Print usage and one sentence; exit with code 2."""
        found = _NO_CHOICE.fullmatch(message)
        if found:
            names = [name.strip("'") for name in found[3].split(", ")]  # quoted up to Python 3.11
            message = (
                f"{found[1]}: there is no {found[2]}{self._hint(found[2].strip(chr(39)), names)}"
            )
            message += f"; choose from {', '.join(names)}"
        elif message.startswith("unrecognized arguments: -"):
            word = message.split()[2].split("=")[0]
            message += self._hint(word, _options_below(self))
        from tuner.cli.text.words import one_line  # noqa: PLC0415 - no help page needs it

        super().error(one_line(message))

    @staticmethod
    def _hint(word: str, known: Collection[str]) -> str:
        begun = sorted((n for n in known if n.startswith(word) and len(word) > 3), key=len)
        close = begun or get_close_matches(word, known, n=1)
        return f" (did you mean {close[0]}?)" if close else ""


_NO_CHOICE = re.compile(r"argument (.*): invalid choice: (.*) \(choose from (.*)\)")


def _options_below(parser: argparse.ArgumentParser) -> set[str]:
    """Return the options of a parser and its commands; argparse does not report which was meant."""
    found = set(parser._option_string_actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                found |= _options_below(command)
    return found


def add_command(
    commands: Commands, name: str, module: str, summary: str, example: str, *, storage: bool = True
) -> argparse.ArgumentParser:
    """Add a command with its help; `module` of `tuner.cli.commands` executes it."""
    parser = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=f"example: {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # a script that relies on `--stor` breaks when an option is added
    )
    parser.set_defaults(module=f"tuner.cli.commands.{module}", command=name)
    if storage:
        parser.add_argument("--storage", type=arguments.text, metavar="URL", help=STORAGE_HELP)
        parser.add_argument("--require-tls", action="store_true", help=TLS_HELP)
    return parser


def add_study(parser: argparse.ArgumentParser) -> None:
    """Add the name of the study."""
    parser.add_argument("study", type=arguments.text, metavar="STUDY", help="the study's name")


def add_trial(parser: argparse.ArgumentParser) -> None:
    """Add the number of a trial."""
    parser.add_argument("number", type=arguments.trial_number, metavar="N", help="the trial")


def add_by(parser: argparse.ArgumentParser | argparse._MutuallyExclusiveGroup) -> None:
    """Add the option for the criterion of the best trial."""
    parser.add_argument(
        "--by",
        choices=["value", "confirmed"],
        metavar="value|confirmed",
        help="best by the value in the search, or by tuner confirm (default: "
        "confirmed if a finished confirmation includes the best value, otherwise value)",
    )


def add_json(
    parser: argparse.ArgumentParser | argparse._MutuallyExclusiveGroup,
    what: str = "one JSON document",
) -> None:
    """Add the option for output that programs read."""
    parser.add_argument("--json", action="store_true", help=f"print {what} for programs")


def add_log_format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--log-format",
        choices=["text", "json"],
        metavar="text|json",
        help="lines on stderr instead of the screen: text, or JSON with study, trial, attempt and "
        "device",
    )
