"""`tuner run STUDY.yaml`."""

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import assert_never

from tuner.agent.port import View
from tuner.cli.database import open_named
from tuner.cli.screen.log_lines import LogLines, collect_logs
from tuner.cli.screen.views import JsonView, NoticeView, PlainView, QueuedView
from tuner.cli.terminal import end_printed, has_screen
from tuner.cli.text.as_json import render_json
from tuner.cli.text.summary import (
    render_best,
    render_failures,
    render_headline,
    render_times,
    summary_json,
)
from tuner.cli.text.words import terminal_width, wrap
from tuner.errors import DatabaseError, UsageError
from tuner.results.progress import StudyState, find_state
from tuner.results.summary import StudySummary
from tuner.run_study import RunOptions, RunOutcome, run, run_stored
from tuner.storage.connections.connection import storage_setting
from tuner.study.command_line import file_word, quote_word, study_command, study_option
from tuner.study.ending import EndingKind

CUT_OFF = (
    "tuner: the database is away, so the last releases may not have reached it; "
    "other agents take these trials over after the lease time"
)


def execute(options: argparse.Namespace) -> int:
    """Work on the study, then show its state."""
    _check(options)
    view = QueuedView(JsonView() if options.json else choose_view(options))
    run_options = RunOptions(
        storage=storage_setting(options.storage),
        workers=options.workers,
        overrides=tuple(options.set),
    )
    try:
        outcome = _run(options, run_options, view)
    except BaseException:
        view.close()
        raise
    if not view.close():
        os._exit(exit_code(outcome))  # printing more would wait for that reader for ever
    with end_printed(exit_code(outcome)) as code:
        _print_end(options, outcome)
    return code


def _print_end(options: argparse.Namespace, outcome: RunOutcome) -> None:
    summary = outcome.summary
    if summary is None:
        print(CUT_OFF, file=sys.stderr)
    elif options.json:
        print(render_json({"event": "Summary", **summary_json(summary)}))
    else:
        page = render_end(summary, outcome.ending.kind, _again(options))
        print(wrap(page, terminal_width(sys.stdout)))
    sys.stdout.flush()


def _check(options: argparse.Namespace) -> None:
    if options.study_file is None and options.study is None:
        raise UsageError("name a study file, or --study NAME for a study that is in the database")
    if options.json and options.log_format is not None:
        raise UsageError("--json prints the events on stdout; leave it or --log-format out")
    if options.study is not None and options.set:
        raise UsageError("--study takes the study as it is stored; leave --set out")


def _run(options: argparse.Namespace, run_options: RunOptions, view: View) -> RunOutcome:
    path = None if options.study_file is None else Path(options.study_file)
    if options.study is not None:
        return run_stored(options.study, path, run_options, view)
    assert path is not None
    return run(path, run_options, view)


def _again(options: argparse.Namespace) -> list[str]:
    """Return the arguments of `tuner run` that continue this study."""
    file = [] if options.study_file is None else [file_word(options.study_file)]
    return [*file, *([] if options.study is None else study_option(options.study))]


def choose_view(options: argparse.Namespace) -> NoticeView:
    """Choose lines in the format that is asked for, otherwise a screen if there is a terminal."""
    if options.log_format == "json":
        collect_logs()
        return LogLines()
    if options.log_format == "text" or not has_screen(sys.stderr):
        return PlainView()
    from tuner.cli.screen.live import LiveView  # noqa: PLC0415 - loads rich

    opened = partial(open_named, options.storage, is_told=False)
    return LiveView(opened)


def exit_code(outcome: RunOutcome) -> int:
    """Return the code by which schedulers decide whether to start again."""
    match outcome.ending.kind:
        case EndingKind.FINISHED:
            if outcome.summary is None:
                return DatabaseError.exit_code  # it went away at the end: started again, we see
            return 5 if outcome.summary.best is None else 0
        case EndingKind.INTERRUPTED:
            return 130
        case EndingKind.TERMINATED:
            return 143
        case EndingKind.HALTED:
            return 6
        case EndingKind.FAILED:
            return 1
        case _:
            assert_never(outcome.ending.kind)


def render_end(summary: StudySummary, kind: EndingKind, again: Sequence[str]) -> str:
    """Render the last screen.

    `again` are the arguments with which `tuner run` continues, the study file first if there is
    one.
    """
    parts = [
        render_headline(summary),
        render_times(summary),
        render_failures(summary),
        render_best(summary),
        _render_next(summary, kind, again),
    ]
    return "\n" + "\n\n".join(part for part in parts if part)


def _render_next(summary: StudySummary, kind: EndingKind, again: Sequence[str]) -> str:
    name = summary.study.name
    commands = [
        (study_command("trials", name), "every trial"),
        (study_command("status", name), "this page again"),
    ]
    if summary.best is not None:
        commands.insert(0, (study_command("best", name), "the best params (--json for a program)"))
        if summary.study.spec.get("confirms") is None:
            file = f"--file {quote_word(again[0])}" if summary.needs_study_file else ""
            export = f"{file} -o best.yaml".strip()
            commands.append(
                (study_command("confirm", name, file), "which of the best is really the best")
            )
            commands.append((study_command("export", name, export), "for tuner train best.yaml"))
    if summary.failures:
        commands.append(
            (
                study_command("trials", name, "--state fail"),
                "the failures; tuner show has the details",
            )
        )
        commands.append((study_command("retry", name, "--failed"), "try those again"))
    held_back = (StudyState.STOPPED, StudyState.STOPPING, StudyState.PAUSED, StudyState.HALTED)
    if find_state(summary) in held_back:
        commands.insert(0, (study_command("resume", name), "allows it to continue"))
    elif kind is not EndingKind.FINISHED:
        commands.insert(0, (f"tuner run {' '.join(map(quote_word, again))}", "continue"))
    width = max(len(command) for command, _ in commands)
    return "\n".join(["next", *(f"  {c.ljust(width)}  {text}" for c, text in commands)])
