"""`tuner trials STUDY`."""

import argparse
import csv
import io
import sys
from collections.abc import Sequence

from tuner.cli.database import open_existing
from tuner.cli.text.as_json import render_json
from tuner.cli.text.spreadsheet import csv_cell
from tuner.cli.text.summary import trial_json
from tuner.cli.text.words import one_line, render_table, render_value, terminal_width, wrap
from tuner.results.conditions import parse_condition, parse_sort, parse_states
from tuner.results.filters import Filter
from tuner.results.trial_list import load_trials
from tuner.storage.reading.rows import TrialRow


def execute(options: argparse.Namespace) -> int:
    """Print the selected trials, a row each."""
    sort, descending = parse_sort(options.sort)
    wanted = Filter(
        conditions=[parse_condition(text) for text in options.where],
        states=parse_states(options.state) if options.state else (),
        sort=sort,
        descending=descending,
        limit=options.limit,
    )
    with open_existing(options.storage) as database:
        found = load_trials(database, options.study, wanted)
    metric, chosen = found.study.metric, found.trials
    if options.json:
        print(render_json([trial_json(trial) for trial in chosen], indent=2))
    elif options.csv:
        print(render_csv(metric, chosen), end="")
    else:
        width = terminal_width(sys.stdout)
        table = render_trials(metric, chosen, f"{found.spec.step_noun}s", width)
        print(wrap(table, width))
    return 0


def render_trials(
    metric: str, trials: Sequence[TrialRow], steps: str, width: int | None = None
) -> str:
    """Render a table with a column per param; long reasons follow at the right."""
    names = list(dict.fromkeys(name for trial in trials for name in trial.params))
    header = ["trial", "state", metric, steps, *map(one_line, names), "reason"]
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
    return render_table(header, rows, width)


def render_csv(metric: str, trials: Sequence[TrialRow]) -> str:
    """Render every digit of each number; text that a spreadsheet would run is quoted with '."""
    params = list(dict.fromkeys(name for trial in trials for name in trial.params))
    attrs = sorted({name for trial in trials for name in trial.user_attrs})
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    own = [
        "number",
        "state",
        metric,
        "steps",
        "attempt",
        "host",
        "device",
        "device_seconds",
        "retry_of",
    ]
    times = ["started_at", "ended_at", "reason"]
    heads = [f"params.{n}" for n in params] + [f"attrs.{n}" for n in attrs]
    writer.writerow(map(csv_cell, [*own, *times, *heads]))
    for trial in trials:
        writer.writerow(
            map(
                csv_cell,
                [
                    trial.number,
                    trial.state,
                    trial.value,
                    trial.n_steps,
                    trial.attempt,
                    trial.host,
                    trial.device,
                    trial.device_seconds,
                    trial.retry_of,
                    trial.started_at and trial.started_at.isoformat(),
                    trial.ended_at and trial.ended_at.isoformat(),
                    trial.reason,
                    *(trial.params.get(name) for name in params),
                    *(trial.user_attrs.get(name) for name in attrs),
                ],
            )
        )
    return out.getvalue()
