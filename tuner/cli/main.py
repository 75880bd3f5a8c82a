"""`tuner`: the commands and their arguments. Imports a command's module only when it is called."""

import argparse
import io
import os
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module, metadata
from typing import TypeAlias, cast

from tuner.errors import TunerError

EXIT_CODES = """\
exit codes:
  0 done   1 failed at run time   2 usage, study file, or another study under this name
  3 no such study   4 database unreachable or refused   5 no COMPLETE trial
  7 this machine cannot work   130 interrupted   143 ended by SIGTERM, trials handed back
"""

STORAGE_HELP = (
    "database URL without a password, such as postgresql://user@host/name "
    "(default: $TUNER_STORAGE, else this machine's embedded Postgres)"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    _ready_streams()
    parser = build_parser()
    options = parser.parse_args(arguments)
    if not hasattr(options, "module"):
        parser.print_help()
        return 0
    try:
        module = import_module(options.module)
        code = cast("Callable[[argparse.Namespace], int]", module.execute)(options)
        sys.stdout.flush()
    except TunerError as error:
        print(f"tuner: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # The reader of our output has left, as `tuner trials STUDY | head` does.
        _drop_output()
        return 128 + signal.SIGPIPE
    except OSError as error:
        # This machine's, a full disk for instance: nothing that a traceback would explain.
        _drop_output()
        print(f"tuner: {error}", file=sys.stderr)
        return 1
    return code


def _ready_streams() -> None:
    """Output streams that take any text, and exist even where the caller has closed them."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - for the whole process
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _drop_output() -> None:
    """What is still buffered would raise again when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def build_parser() -> argparse.ArgumentParser:
    """All commands."""
    parser = argparse.ArgumentParser(
        prog="tuner",
        description="Hyperparameter optimization on your own GPU machines.",
        epilog="example: tuner run studies/digits.yaml\n\n" + EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_PrintVersion, nargs=0, help="print the version")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    _add_run(commands)
    _add_status(commands)
    _add_trials(commands)
    _add_best(commands)
    _add_db(commands)
    return parser


class _PrintVersion(argparse.Action):
    """Looks the version up only when asked: the metadata costs a file search."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"tuner {metadata.version('tuner')}")
        parser.exit()


Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def _add_command(
    commands: Commands, name: str, module: str, summary: str, example: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=f"example: {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # a script that relies on `--stor` breaks when an option is added
    )
    parser.set_defaults(module=module)
    parser.add_argument("--storage", type=_text, metavar="URL", help=STORAGE_HELP)
    return parser


def _add_json(parser: argparse.ArgumentParser, what: str = "one JSON document") -> None:
    parser.add_argument("--json", action="store_true", help=f"print {what} for programs")


def _add_run(commands: Commands) -> None:
    run = _add_command(
        commands,
        "run",
        "tuner.cli.run",
        "create or resume the study and work on it with this machine's devices",
        "tuner run studies/digits.yaml --workers 2",
    )
    run.add_argument("study_file", type=_text, metavar="STUDY.yaml", help="the study file")
    run.add_argument(
        "--workers",
        type=_positive,
        metavar="N",
        help="CPU workers on a machine without GPUs (default: one per core)",
    )
    _add_json(run, "one JSON object a line")


def _add_status(commands: Commands) -> None:
    status = _add_command(
        commands,
        "status",
        "tuner.cli.status",
        "counts, best trial, where the time went, fleet and failures of one or all studies",
        "tuner status digits",
    )
    status.add_argument(
        "study", nargs="?", type=_text, metavar="STUDY", help="default: all studies, newest first"
    )
    _add_json(status)


def _add_trials(commands: Commands) -> None:
    trials = _add_command(
        commands, "trials", "tuner.cli.trials", "the table of all trials", "tuner trials digits"
    )
    trials.add_argument("study", type=_text, metavar="STUDY", help="the study's name")
    _add_json(trials)


def _add_best(commands: Commands) -> None:
    best = _add_command(
        commands, "best", "tuner.cli.best", "the best trial's params", "tuner best digits --json"
    )
    best.add_argument("study", type=_text, metavar="STUDY", help="the study's name")
    _add_json(best)


def _add_db(commands: Commands) -> None:
    db = _add_command(
        commands,
        "db",
        "tuner.cli.db",
        "the database: where it is, and keeping the embedded one up",
        'optuna-dashboard "$(tuner db url)"   # while `tuner db serve` runs elsewhere',
    )
    db.add_argument(
        "action",
        choices=["url", "serve"],
        metavar="url|serve",
        help="url: print where the studies live; serve: keep the embedded server up until Ctrl-C",
    )
    _add_json(db)


def _text(text: str) -> str:
    """An argument that a database and a terminal can take."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"{text!a} is not UTF-8") from None
    return text


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if not 1 <= number <= 1024:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 1024")
    return number
