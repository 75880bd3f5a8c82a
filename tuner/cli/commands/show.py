"""`tuner show STUDY N`."""

import argparse
import shutil
import sys
from dataclasses import asdict
from datetime import datetime
from typing import Any

from tuner.cli.database import open_existing
from tuner.cli.text.as_json import render_json
from tuner.cli.text.budget import steps_of
from tuner.cli.text.curve import render_curve
from tuner.cli.text.summary import render_params, trial_json
from tuner.cli.text.words import (
    can_show,
    clean_log,
    one_line,
    render_table,
    render_value,
    terminal_width,
    wrap,
)
from tuner.results.trial_page import AttemptStory, TrialPage, load_trial_page
from tuner.study.durations import render_seconds

_LOG_LINES = 20


def execute(options: argparse.Namespace) -> int:
    """Print one trial in full."""
    with open_existing(options.storage) as database:
        page = load_trial_page(database, options.study, options.number)
    if options.json:
        print(render_json(page_json(page), indent=2))
        return 0
    width = terminal_width(sys.stdout)
    columns = width or shutil.get_terminal_size().columns
    is_plain = not can_show("⣿┤", sys.stdout)
    text = render_page(page, columns, table_width=width, ascii_only=is_plain)
    print(wrap(text, width))
    return 0


def render_page(
    page: TrialPage, width: int, *, table_width: int | None = None, ascii_only: bool = False
) -> str:
    """Render the parts that the trial has; without `table_width` tables have any width."""
    parts = [
        _render_head(page),
        "\n".join(["params", *render_params(page.trial.params)]) if page.trial.params else "",
        _render_fixed(page),
        render_curve(page.curve, page.step_noun, width, ascii_only=ascii_only),
        _render_attempts(page, table_width),
        _render_decisions(page),
        _render_failure(page),
        _render_facts(page),
    ]
    return "\n\n".join(part for part in parts if part)


def _render_head(page: TrialPage) -> str:
    trial = page.trial
    value = "" if trial.value is None else f"  {page.study.metric} {render_value(trial.value)}"
    progress = steps_of(trial.n_steps, page.n_steps_full, page.step_noun)
    used = (
        f"  {render_seconds(trial.device_seconds)} of device time" if trial.device_seconds else ""
    )
    head = f"{page.study.name} trial {trial.number}: {trial.state}{value}  {progress}{used}"
    lines = [head]
    if trial.reason:
        lines.append(f"  {one_line(trial.reason)}")
    if page.diagnosis is not None:
        lines.append(f"  {page.diagnosis.finding}: {page.diagnosis.reason}")
    if page.params_from:
        lines.append(f"  params {page.params_from}")
    if trial.retry_of is not None:
        lines.append(f"  tries trial {trial.retry_of} again")
    lines += [
        f"  attempt {story.attempt} trained with other code than the study began with: "
        + one_line(", ".join(story.other_code))
        for story in page.attempts
        if story.other_code
    ]
    lines += [
        f"  tried again as trial {number} ({state})" for number, state in page.retried_by.items()
    ]
    return "\n".join(lines)


def _render_fixed(page: TrialPage) -> str:
    fixed = render_params(page.fixed_params)
    return "\n".join(["fixed", *fixed]) if fixed else ""


def _render_attempts(page: TrialPage, width: int | None) -> str:
    if not page.attempts:
        return ""
    rows = [
        [
            f"  {story.attempt}",
            _place(story),
            _beside(story),
            _time(story.started_at),
            _lasted(story),
            story.how,
            one_line(story.detail),
        ]
        for story in page.attempts
    ]
    header = ["  attempt", "where", "shared with", "began (UTC)", "for", "end", ""]
    if not any(_beside(story) for story in page.attempts):
        header, *rows = ([*row[:2], *row[3:]] for row in (header, *rows))
    return render_table(header, rows, width)


def _place(story: AttemptStory) -> str:
    return one_line(" ".join(part for part in (story.host, story.device) if part)) or "-"


def _beside(story: AttemptStory) -> str:
    """Return how many others shared its device; empty if it had the device alone."""
    n_others = round(story.n_beside)
    return f"{n_others} other{'' if n_others == 1 else 's'}" if n_others else ""


def _time(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}" if at else "-"


def _lasted(story: AttemptStory) -> str:
    if story.started_at is None or story.ended_at is None:
        return "-"
    return render_seconds((story.ended_at - story.started_at).total_seconds())


def _render_decisions(page: TrialPage) -> str:
    lines = [
        f"  {page.step_noun} {decision.step}: {decision.word}, {one_line(decision.reason)}"
        for decision in page.decisions
    ]
    return "\n".join(["pruning", *lines]) if lines else ""


def _render_failure(page: TrialPage) -> str:
    logs = [log for log in page.logs if log.message or log.traceback]
    parts = []
    for log in logs:
        cause = page.trial.failure if log.attempt == page.trial.attempt else None
        head = f"attempt {log.attempt} failed{f' ({cause})' if cause else ''}"
        parts.append(f"{head}: {one_line(log.message)}")
        parts += _indented(log.traceback)
    if logs and logs[-1].tail.strip():
        parts.append("last lines it printed")
        parts += _indented("\n".join(logs[-1].tail.rstrip().split("\n")[-_LOG_LINES:]))
    return "\n".join(parts)


def _indented(text: str) -> list[str]:
    return [f"  {line}" for line in clean_log(text).rstrip().split("\n")] if text.strip() else []


def _render_facts(page: TrialPage) -> str:
    """Render the user attributes that are not shown elsewhere."""
    shown = {"reason", "failure", "retry_of"}
    facts = {key: value for key, value in page.trial.user_attrs.items() if key not in shown}
    return "\n".join(["attributes", *render_params(facts)]) if facts else ""


def page_json(page: TrialPage) -> dict[str, Any]:
    return {
        "study": page.study.name,
        "metric": page.study.metric,
        **trial_json(page.trial),
        "suggested_by": page.suggested_by,
        "fixed_params": dict(page.fixed_params),
        "steps_full": page.n_steps_full,
        "diagnosis": page.diagnosis and asdict(page.diagnosis),
        "curve": {str(step): value for step, value in page.curve.items()},
        "attempts": [
            {
                **asdict(story),
                "started_at": _iso(story.started_at),
                "ended_at": _iso(story.ended_at),
            }
            for story in page.attempts
        ],
        "decisions": [asdict(decision) for decision in page.decisions],
        "logs": [{**asdict(log), "at": _iso(log.at)} for log in page.logs],
        "retried_by": [{"number": n, "state": state} for n, state in page.retried_by.items()],
    }


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
