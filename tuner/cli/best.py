"""`tuner best STUDY`."""

import argparse

from tuner.cli.database import open_existing
from tuner.cli.json_text import render_json
from tuner.cli.summary_text import render_best, render_params, trial_json
from tuner.results.summary import StudySummary, load_best


def execute(options: argparse.Namespace) -> int:
    """The best params and value."""
    with open_existing(options.storage) as database:
        summary = load_best(database, options.study)
    print(render_json(best_json(summary), indent=2) if options.json else render(summary))
    return 0


def best_json(summary: StudySummary) -> dict[str, object]:
    """The best trial with all its params, the fixed ones included."""
    assert summary.best is not None
    trial = trial_json(summary.best)
    all_params = {**summary.fixed_params, **summary.best.params}
    return {"study": summary.study.name, "metric": summary.study.metric, **trial} | {
        "params": all_params
    }


def render(summary: StudySummary) -> str:
    """For people."""
    fixed = render_params(summary.fixed_params)
    return "\n".join([render_best(summary), *(["fixed", *fixed] if fixed else [])])
