"""`tuner status [STUDY]`."""

import argparse
import json

from tuner.cli.database import open_named
from tuner.cli.summary_text import (
    is_active,
    is_finished,
    render_best,
    render_failures,
    render_fleet,
    render_headline,
    render_times,
    summary_json,
)
from tuner.cli.text import render_table, render_value
from tuner.results.summary import StudySummary, load_summaries, load_summary


def execute(options: argparse.Namespace) -> int:
    """One study in full, or all of them in a table."""
    with open_named(options.storage) as database:
        if options.study is None:
            summaries = load_summaries(database)
            if options.json:
                print(json.dumps([summary_json(summary) for summary in summaries], indent=2))
            else:
                print(render_studies(summaries))
            return 0
        summary = load_summary(database, options.study)
    print(json.dumps(summary_json(summary), indent=2) if options.json else render_status(summary))
    return 0


def render_status(summary: StudySummary) -> str:
    """One study."""
    parts = [
        render_headline(summary),
        render_times(summary),
        render_failures(summary),
        render_fleet(summary),
        render_best(summary),
    ]
    return "\n\n".join(part for part in parts if part)


def render_studies(summaries: list[StudySummary]) -> str:
    """All studies, newest first."""
    if not summaries:
        return "no study yet; tuner run STUDY.yaml makes one"
    rows = [
        [
            summary.study.name,
            _state(summary),
            f"{summary.n_final}/{summary.study.n_trials}",
            f"{summary.study.direction} {summary.study.metric}",
            "-" if summary.best is None else render_value(summary.best.value),
            f"{summary.study.created_at:%Y-%m-%d %H:%M} UTC",
        ]
        for summary in summaries
    ]
    return render_table(["study", "state", "trials", "goal", "best", "created"], rows)


def _state(summary: StudySummary) -> str:
    if is_finished(summary):
        return "finished"
    return "running" if is_active(summary) else "stopped"
