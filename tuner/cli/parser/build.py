"""All commands and their arguments; loads only modules that a help page needs."""

import argparse
from importlib import metadata

from tuner.cli.parser import arguments
from tuner.cli.parser.command import Commands, Parser, add_command, add_json
from tuner.cli.parser.control import add_control
from tuner.cli.parser.db import add_db
from tuner.cli.parser.reading import add_reading
from tuner.cli.parser.shipping import add_shipping
from tuner.cli.parser.study_files import add_study_files

EXIT_CODES = """\
exit codes:
  0 done   1 failed at run time   2 usage, study file, or another study under
  this name   3 no such study or trial   4 database unreachable or refused
  5 no COMPLETE trial   6 halted by failures.stop_after   7 this machine cannot work
  130 interrupted   143 ended by SIGTERM or SIGHUP, trials released
"""


def build_parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="tuner",
        description="Hyperparameter optimization on your own machines.",
        epilog="example: tuner run studies/digits.yaml\n\n" + EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_PrintVersion, nargs=0, help="print the version")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    add_study_files(commands)
    add_reading(commands)
    add_shipping(commands)
    add_control(commands)
    _add_machine(commands)
    return parser


class _PrintVersion(argparse.Action):
    """Reads the version only on request: the metadata costs a file search."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"tuner {metadata.version('tuner')}")
        parser.exit()


def _add_machine(commands: Commands) -> None:
    doctor = add_command(
        commands,
        "doctor",
        "doctor",
        "check this machine and the database, and show how to fix problems",
        "tuner doctor",
    )
    doctor.add_argument(
        "--file",
        type=arguments.text,
        metavar="STUDY.yaml",
        help="check the checkpoint store of this study file as well",
    )
    add_json(doctor)
    completion = add_command(
        commands,
        "completion",
        "completion",
        "print the code with which a shell completes commands and options",
        'eval "$(tuner completion bash)"',
        storage=False,
    )
    completion.add_argument(
        "shell", choices=["bash", "zsh", "fish"], metavar="bash|zsh|fish", help="the shell"
    )
    add_db(commands)
