"""`tuner status [STUDY]`."""

import argparse
import sys
from importlib import import_module
from typing import cast

from tuner.cli.database import NO_STUDY_YET, exists, open_existing
from tuner.cli.text.as_json import render_json
from tuner.cli.text.budget import render_budget
from tuner.cli.text.confirmation import render_confirmed
from tuner.cli.text.fleet import render_fleet
from tuner.cli.text.summary import (
    render_best,
    render_failures,
    render_headline,
    render_times,
    summary_json,
)
from tuner.cli.text.words import render_table, render_value, terminal_width, wrap
from tuner.errors import UsageError
from tuner.results.best import By
from tuner.results.progress import find_state
from tuner.results.summary import StudySummary, load_summaries, load_summary


def execute(options: argparse.Namespace) -> int:
    """One study in full, or all of them in a table."""
    if options.watch:
        if options.study is None or options.json:
            raise UsageError("--watch needs a study, and goes without --json")
        # Not before it is needed: the screen loads a library of its own.
        return cast("int", import_module("tuner.cli.commands.watch").watch(options))
    if options.study is None:
        print(_all_studies(options))
        return 0
    with open_existing(options.storage) as database:
        summary = load_summary(database, options.study)
    if options.json:
        print(render_json(summary_json(summary), indent=2))
    else:
        width = terminal_width(sys.stdout)
        print(wrap(render_status(summary, width), width))
    return 0


def _all_studies(options: argparse.Namespace) -> str:
    summaries: list[StudySummary] = []
    if exists(options.storage):
        with open_existing(options.storage) as database:
            summaries = load_summaries(database)
    if options.json:
        return render_json([summary_json(summary) for summary in summaries], indent=2)
    width = terminal_width(sys.stdout)
    return wrap(render_studies(summaries, width), width)


def render_status(summary: StudySummary, width: int | None = None) -> str:
    """One study."""
    parts = [
        render_headline(summary),
        render_times(summary),
        render_budget(summary, width),
        render_failures(summary),
        render_fleet(summary, width),
        render_best(summary),
        render_confirmed(summary.confirmation),
    ]
    return "\n\n".join(part for part in parts if part)


def render_studies(summaries: list[StudySummary], width: int | None = None) -> str:
    """All studies, newest first."""
    if not summaries:
        return NO_STUDY_YET
    rows = [
        [
            summary.study.name,
            find_state(summary).value,
            f"{summary.n_final}/{summary.study.n_trials or '-'}",
            f"{summary.study.direction} {summary.study.metric}",
            "-" if summary.best is None else _best(summary),
            f"{summary.study.created_at:%Y-%m-%d %H:%M} UTC",
        ]
        for summary in summaries
    ]
    header = ["study", "state", "trials", "goal", "best", "created"]
    return render_table(header, rows, width)


def _best(summary: StudySummary) -> str:
    assert summary.best is not None
    value = render_value(summary.best.value)
    return f"{value} (confirmed)" if summary.best_by is By.CONFIRMED else value
