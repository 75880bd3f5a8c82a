"""What the parsers of all commands have in common."""

import argparse
from typing import TypeAlias

from tuner.cli import arguments

STORAGE_HELP = (
    "database URL without a password, such as postgresql://user@host/name "
    "(default: $TUNER_STORAGE, else this machine's embedded Postgres)"
)
TLS_HELP = "refuse an unencrypted connection to another machine (default: $TUNER_REQUIRE_TLS)"

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_command(
    commands: Commands, name: str, module: str, summary: str, example: str, *, storage: bool = True
) -> argparse.ArgumentParser:
    """A command with its help; `module` of `tuner.cli` executes it."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=f"example: {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # a script that relies on `--stor` breaks when an option is added
    )
    parser.set_defaults(module=f"tuner.cli.{module}", command=name)
    if storage:
        parser.add_argument("--storage", type=arguments.text, metavar="URL", help=STORAGE_HELP)
        parser.add_argument("--require-tls", action="store_true", help=TLS_HELP)
    return parser


def add_json(
    parser: argparse.ArgumentParser | argparse._MutuallyExclusiveGroup,
    what: str = "one JSON document",
) -> None:
    """What programs read."""
    parser.add_argument("--json", action="store_true", help=f"print {what} for programs")
