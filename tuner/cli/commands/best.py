"""`tuner best STUDY`."""

import argparse
import sys

from tuner.cli.database import open_existing
from tuner.cli.text.as_json import render_json
from tuner.cli.text.confirmation import confirmed_json, render_confirmed
from tuner.cli.text.summary import render_best, render_params, trial_json
from tuner.cli.text.words import terminal_width, wrap
from tuner.results.best import By
from tuner.results.summary import StudySummary, load_summary, require_best


def execute(options: argparse.Namespace) -> int:
    """Print the best params and value."""
    by = None if options.by is None else By(options.by)
    with open_existing(options.storage) as database:
        summary = load_summary(database, options.study, by)
    require_best(summary)
    if options.json:
        print(render_json(best_json(summary), indent=2))
    else:
        print(wrap(render(summary), terminal_width(sys.stdout)))
    return 0


def best_json(summary: StudySummary) -> dict[str, object]:
    """Return the best trial with all its params, the fixed ones included."""
    assert summary.best is not None
    trial = trial_json(summary.best)
    all_params = {**summary.fixed_params, **summary.best.params}
    return {
        "study": summary.study.name,
        "metric": summary.study.metric,
        **trial,
        "params": all_params,
        "best_by": summary.best_by,
        **confirmed_json(summary.confirmation),
    }


def render(summary: StudySummary) -> str:
    fixed = render_params(summary.fixed_params)
    confirmed = render_confirmed(summary.confirmation)
    parts = [render_best(summary), *(["fixed", *fixed] if fixed else []), confirmed]
    return "\n".join(part for part in parts if part)
