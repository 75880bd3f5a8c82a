"""All commands and their arguments; loads only modules that a help page needs."""

import argparse
from importlib import metadata

from tuner.cli.parser import arguments
from tuner.cli.parser.command import Commands, Parser, add_command, add_json
from tuner.cli.parser.control import add_control
from tuner.cli.parser.db import add_db
from tuner.cli.parser.reading import add_reading
from tuner.cli.parser.shipping import add_shipping

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
    _add_beginning(commands)
    _add_working(commands)
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


def _add_working(commands: Commands) -> None:
    run = add_command(
        commands,
        "run",
        "run",
        "create or resume the study and work on it with this machine's devices",
        "tuner run studies/digits.yaml --workers 2",
    )
    run.add_argument(
        "study_file",
        nargs="?",
        type=arguments.text,
        metavar="STUDY.yaml",
        help="the study file; with --study only needed for your own code",
    )
    run.add_argument(
        "--study",
        type=arguments.text,
        metavar="NAME",
        help="work on a study of the database without its file, such as one of tuner confirm",
    )
    run.add_argument(
        "--workers",
        type=arguments.workers,
        metavar="N",
        help="CPU workers on a machine without GPUs (default: one per core)",
    )
    _add_set(run)
    add_json(run, "one JSON object a line")


def _add_beginning(commands: Commands) -> None:
    init = add_command(
        commands,
        "init",
        "init",
        "write a study file that runs on a CPU in under a minute, and its schema for editors",
        "tuner init my-study --code",
        storage=False,
    )
    init.add_argument(
        "folder", nargs="?", default=".", type=arguments.text, metavar="DIR", help="default: here"
    )
    init.add_argument(
        "--code", action="store_true", help="add a train.py with your own training function"
    )
    add_json(init)
    check = add_command(
        commands,
        "check",
        "check",
        "validate a study file and look at its data without running its code; show its settings, "
        "the columns of its data and its first params",
        "tuner check studies/digits.yaml --set budget.trials=20",
        storage=False,
    )
    check.add_argument(
        "study_file", type=arguments.text, metavar="STUDY.yaml", help="the study file"
    )
    _add_set(check)
    check.add_argument(
        "--smoke",
        action="store_true",
        help="train one trial for one step, outside any study; also looks at data that a callable "
        "of your own loads",
    )
    check.add_argument(
        "--verify",
        action="store_true",
        help="hash all data files again instead of trusting their size and time of change",
    )
    add_json(check)
    schema = add_command(
        commands,
        "schema",
        "schema",
        "print the JSON Schema of study files, for editors",
        "tuner schema   # > study.schema.json",
        storage=False,
    )
    add_json(schema, "it in one line")


def _add_set(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        type=arguments.text,
        metavar="KEY=VALUE",
        help="replace a value of the study file, such as budget.trials=20; repeatable",
    )


def _add_machine(commands: Commands) -> None:
    doctor = add_command(
        commands,
        "doctor",
        "doctor",
        "check this machine and the database, and show how to fix problems",
        "tuner doctor",
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
