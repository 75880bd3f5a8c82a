"""`tuner status [STUDY]`."""

import argparse
import sys
from dataclasses import asdict

from tuner.cli.database import exists, open_existing
from tuner.cli.text.as_json import render_json
from tuner.cli.text.status import render_status, render_studies
from tuner.cli.text.summary import summary_json
from tuner.cli.text.words import terminal_width, wrap
from tuner.errors import UsageError
from tuner.results.loss_curves import load_watched
from tuner.results.summary import StudySummary, load_summaries


def execute(options: argparse.Namespace) -> int:
    """Print one study in full, or all of them in a table."""
    if options.watch:
        if options.study is None or options.json:
            raise UsageError("--watch needs a study, and goes without --json")
        from tuner.cli.screen.watch import watch  # noqa: PLC0415 - loads rich

        return watch(options)
    if options.study is None:
        print(_all_studies(options))
        return 0
    with open_existing(options.storage) as database:
        summary, advice = load_watched(database, options.study)
    if options.json:
        document = {**summary_json(summary), "advice": advice and asdict(advice)}
        print(render_json(document, indent=2))
    else:
        width = terminal_width(sys.stdout)
        print(wrap(render_status(summary, width, advice), width))
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
