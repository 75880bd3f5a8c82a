"""`tuner trials STUDY`."""

import argparse
import json

from tuner.cli.database import open_named
from tuner.cli.summary_text import trial_json
from tuner.cli.text import one_line, render_table, render_value
from tuner.results.summary import load_trials
from tuner.storage.reading import TrialRow


def execute(options: argparse.Namespace) -> int:
    """Every trial in a row."""
    with open_named(options.storage) as database:
        study, trials = load_trials(database, options.study)
    if options.json:
        print(json.dumps([trial_json(trial) for trial in trials], indent=2))
    else:
        print(render_trials(study.metric, trials))
    return 0


def render_trials(metric: str, trials: list[TrialRow]) -> str:
    """A table with a column per param."""
    names = list(dict.fromkeys(name for trial in trials for name in trial.params))
    header = ["trial", "state", metric, "epochs", *map(one_line, names), "reason"]
    rows = [
        [
            str(trial.number),
            trial.state,
            "" if trial.value is None else render_value(trial.value),
            str(trial.n_steps),
            *(render_value(trial.params[n]) if n in trial.params else "" for n in names),
            one_line(trial.reason or ""),
        ]
        for trial in trials
    ]
    return render_table(header, rows)
