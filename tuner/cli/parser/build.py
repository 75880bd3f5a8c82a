"""All commands and their arguments; loads only modules that a help page needs."""

import argparse
from importlib import metadata

from tuner.cli.parser import arguments
from tuner.cli.parser.command import Commands, Parser, add_by, add_command, add_json
from tuner.cli.parser.db import add_db
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
    _add_reading(commands)
    add_shipping(commands)
    _add_control(commands)
    _add_machine(commands)
    return parser


class _PrintVersion(argparse.Action):
    """Reads the version only on request: the metadata costs a file search."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"tuner {metadata.version('tuner')}")
        parser.exit()


def _add_study(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", type=arguments.text, metavar="STUDY", help="the study's name")


def _add_trial(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("number", type=arguments.trial_number, metavar="N", help="the trial")


def _add_reading(commands: Commands) -> None:
    status = add_command(
        commands,
        "status",
        "status",
        "show counts, best trial, budget, machines and failures of one or all studies",
        "tuner status digits --watch",
    )
    status.add_argument(
        "study",
        nargs="?",
        type=arguments.text,
        metavar="STUDY",
        help="the study's name (default: all studies, newest first)",
    )
    status.add_argument("--watch", action="store_true", help="update the screen until Ctrl-C")
    status.add_argument(
        "--every",
        type=arguments.seconds,
        default=1.0,
        metavar="SECONDS",
        help="interval of --watch (default: 1)",
    )
    add_json(status)
    _add_trials(commands)
    show = add_command(
        commands,
        "show",
        "show",
        "show one trial: params, curve, attempts, pruning decisions, failure",
        "tuner show digits 12",
    )
    _add_study(show)
    _add_trial(show)
    add_json(show)
    logs = add_command(commands, "logs", "logs", "a trial's output", "tuner logs digits 12 -f")
    _add_study(logs)
    _add_trial(logs)
    logs.add_argument(
        "--attempt",
        type=arguments.at_least_one,
        metavar="K",
        help="the attempt (default: the last one)",
    )
    logs.add_argument("-f", "--follow", action="store_true", help="run until the trial is final")
    best = add_command(
        commands, "best", "best", "show the params of the best trial", "tuner best digits --json"
    )
    _add_study(best)
    add_by(best)
    add_json(best)
    _add_pages(commands)


def _add_pages(commands: Commands) -> None:
    dashboard = add_command(
        commands,
        "dashboard",
        "dashboard",
        "serve live pages of all studies: search, machines and failures on one screen",
        "tuner dashboard digits",
    )
    dashboard.add_argument(
        "study", nargs="?", type=arguments.text, metavar="STUDY", help="open this study first"
    )
    dashboard.add_argument(
        "--host",
        type=arguments.text,
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address to listen on; any but loopback needs --token-file (default: 127.0.0.1)",
    )
    dashboard.add_argument(
        "--port", type=arguments.port, metavar="N", help="default: 8090, or the next free one"
    )
    dashboard.add_argument(
        "--token-file",
        type=arguments.text,
        metavar="FILE",
        help="file with a token of at least 32 random bytes, mode 0600, for all users of the pages",
    )
    dashboard.add_argument(
        "--allow-host",
        action="append",
        default=[],
        type=arguments.text,
        metavar="NAME",
        help="another host name of the dashboard, for example behind a proxy; repeatable",
    )
    dashboard.add_argument(
        "--allow-actions",
        action="store_true",
        help="allow pause, resume, stop, extend, retry and enqueue (default: read-only)",
    )
    report = add_command(
        commands,
        "report",
        "report",
        "write a study's figures into one HTML file that needs no network",
        "tuner report digits -o digits.html",
    )
    _add_study(report)
    report.add_argument(
        *("-o", "--output"),
        type=arguments.text,
        metavar="FILE",
        help="the file, replaced if it exists (default: STUDY.html; -: standard output)",
    )
    add_json(report)


def _add_trials(commands: Commands) -> None:
    trials = add_command(
        commands,
        "trials",
        "trials",
        "show the table of trials",
        "tuner trials digits --state complete --where 'learning_rate<1e-2' --sort value",
    )
    _add_study(trials)
    trials.add_argument(
        "--where",
        action="append",
        default=[],
        type=arguments.text,
        metavar="CONDITION",
        help="trials that match, such as 'learning_rate<1e-3' or optimizer=adam; repeatable",
    )
    trials.add_argument(
        "--state",
        type=arguments.text,
        metavar="S[,S]",
        help="trials in these states: complete, pruned, fail, running, released, waiting",
    )
    trials.add_argument(
        "--sort",
        default="number",
        type=arguments.text,
        metavar="FIELD[:desc]",
        help="sort by a field or param (default: number)",
    )
    trials.add_argument(
        "--limit", type=arguments.at_least_one, metavar="N", help="show only the first N trials"
    )
    form = trials.add_mutually_exclusive_group()
    form.add_argument(
        "--csv", action="store_true", help="print comma-separated values, for a spreadsheet"
    )
    add_json(form)


def _add_control(commands: Commands) -> None:
    for name, summary in {
        "stop": "end the study: running trials end PRUNED, no new ones begin",
        "pause": "save and release all trials; agents wait",
        "resume": "continue a paused, stopped or halted study",
    }.items():
        command = add_command(commands, name, "run_state", summary, f"tuner {name} digits")
        _add_study(command)
        if name != "resume":
            command.add_argument(
                "--reason", type=arguments.text, default="", metavar="TEXT", help="for other users"
            )
        add_json(command)
    _add_extend(commands)
    retry = add_command(
        commands,
        "retry",
        "retry",
        "try failed trials again: new trials with the same params, beyond the budget",
        "tuner retry digits --failed",
    )
    _add_study(retry)
    retry.add_argument(
        "numbers", nargs="*", type=arguments.trial_number, metavar="N", help="FAIL trials"
    )
    retry.add_argument(
        "--failed", action="store_true", help="all FAIL trials that have no retry yet"
    )
    add_json(retry)
    _add_enqueue(commands)
    delete = add_command(
        commands,
        "delete",
        "delete",
        "delete a study with all its trials permanently",
        "tuner delete digits --yes",
    )
    _add_study(delete)
    delete.add_argument("--yes", action="store_true", help="do not ask")
    delete.add_argument("--force", action="store_true", help="even while agents work on it")
    add_json(delete)


def _add_extend(commands: Commands) -> None:
    extend = add_command(
        commands,
        "extend",
        "extend",
        "raise the study's limits, to N or by +N",
        "tuner extend digits --trials +50 --time 2h",
    )
    _add_study(extend)
    for option, kind, metavar, what in (
        ("--trials", arguments.amount, "N|+N", "trials of all machines together"),
        ("--epochs", arguments.amount, "N|+N", "epochs (steps) trained in all trials"),
        ("--time", arguments.duration, "D|+D", "time in which agents work, such as 12h"),
        ("--gpu-hours", arguments.hours, "H|+H", "hours of device time"),
        ("--target", arguments.target, "V", "end when a trial reaches this value"),
    ):
        extend.add_argument(option, type=kind, metavar=metavar, help=what)
    add_json(extend)


def _add_enqueue(commands: Commands) -> None:
    enqueue = add_command(
        commands,
        "enqueue",
        "enqueue",
        "add a trial with your own params, trained next; missing params are drawn",
        "tuner enqueue digits learning_rate=1e-3 n_layers=2",
    )
    _add_study(enqueue)
    enqueue.add_argument(
        "params", nargs="*", type=arguments.text, metavar="NAME=VALUE", help="searched params"
    )
    enqueue.add_argument(
        "--file",
        type=arguments.text,
        metavar="F.yaml",
        help="file with a mapping of params, or a list of them (-: standard input)",
    )
    add_json(enqueue)


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
