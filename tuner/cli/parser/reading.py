"""The arguments of the commands that show a study."""

from tuner.cli.parser import arguments
from tuner.cli.parser.command import (
    Commands,
    add_by,
    add_command,
    add_json,
    add_study,
    add_trial,
)


def add_reading(commands: Commands) -> None:
    """Add status, trials, show, logs, best, dashboard and report."""
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
    add_study(show)
    add_trial(show)
    add_json(show)
    logs = add_command(commands, "logs", "logs", "a trial's output", "tuner logs digits 12 -f")
    add_study(logs)
    add_trial(logs)
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
    add_study(best)
    add_by(best)
    add_json(best)
    _add_pages(commands)


def _add_pages(commands: Commands) -> None:
    _add_dashboard(commands)
    report = add_command(
        commands,
        "report",
        "report",
        "write a study's figures into one HTML file that needs no network",
        "tuner report digits -o digits.html",
    )
    add_study(report)
    report.add_argument(
        *("-o", "--output"),
        type=arguments.text,
        metavar="FILE",
        help="the file, replaced if it exists (default: STUDY.html; -: standard output)",
    )
    add_json(report)


def _add_dashboard(commands: Commands) -> None:
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
        "--metrics-token-file",
        type=arguments.text,
        metavar="FILE",
        help="serve /metrics for Prometheus, to those with the token of this file of the same kind",
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


def _add_trials(commands: Commands) -> None:
    trials = add_command(
        commands,
        "trials",
        "trials",
        "show the table of trials",
        "tuner trials digits --state complete --where 'learning_rate<1e-2' --sort value",
    )
    add_study(trials)
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
