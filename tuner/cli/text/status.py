"""The pages of `tuner status`: one study, or all of them."""

from tuner.cli.database import NO_STUDY_YET
from tuner.cli.text.budget import render_budget
from tuner.cli.text.confirmation import render_confirmed
from tuner.cli.text.fleet import render_fleet
from tuner.cli.text.summary import render_best, render_failures, render_headline, render_times
from tuner.cli.text.words import render_table, render_value
from tuner.results.best import By
from tuner.results.diagnosis import Advice
from tuner.results.progress import find_state
from tuner.results.summary import StudySummary


def render_status(
    summary: StudySummary, width: int | None = None, advice: Advice | None = None
) -> str:
    parts = [
        render_headline(summary),
        render_times(summary),
        render_budget(summary, width),
        render_failures(summary),
        render_fleet(summary, width),
        render_best(summary),
        render_confirmed(summary.confirmation),
        f"advice: {advice.text}" if advice is not None else "",
    ]
    return "\n\n".join(part for part in parts if part)


def render_studies(summaries: list[StudySummary], width: int | None = None) -> str:
    """Render all studies, newest first."""
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
