"""A study's limits, and what is used of each."""

from dataclasses import dataclass

from tuner.cli.text.words import count, render_coarse, render_seconds, render_table, render_value
from tuner.results.progress import StudyState, estimate_seconds_left, find_state
from tuner.results.summary import StudySummary
from tuner.study.trial import Direction

_MIN_BAR = 10


@dataclass(frozen=True, kw_only=True)
class BudgetLine:
    name: str  # "trials"
    used: str
    limit: str
    share: float | None  # from 0; None where there is no way from nothing to all


def budget_lines(summary: StudySummary) -> list[BudgetLine]:
    """The limits that the study has."""
    limits, used, study = summary.study.limits, summary.used, summary.study
    lines = []
    if limits.trials is not None:
        lines.append(_counted("trials", used.trials, limits.trials))
    if study.n_draws is not None:
        lines.append(_counted("grid cells", study.next_draw, study.n_draws))
    if limits.steps is not None:
        lines.append(_counted(f"{summary.step_noun}s", used.steps, limits.steps))
    if limits.seconds is not None:
        lines.append(_timed("time", used.seconds, limits.seconds))
    if limits.device_seconds is not None:
        lines.append(_timed("device time", used.device_seconds, limits.device_seconds))
    if limits.target is not None:
        sign = "<=" if study.direction is Direction.MINIMIZE else ">="
        best = "-" if used.best is None else render_value(used.best)
        target = f"{sign} {render_value(limits.target)}"
        lines.append(BudgetLine(name="target", used=best, limit=target, share=None))
    return lines


def _counted(name: str, used: int, limit: int) -> BudgetLine:
    share = used / limit if limit else 1.0
    return BudgetLine(name=name, used=f"{used:,}", limit=f"{limit:,}", share=share)


def _timed(name: str, used: float, limit: float) -> BudgetLine:
    return BudgetLine(
        name=name,
        used=render_seconds(used),
        limit=render_seconds(limit),
        share=used / limit if limit else 1.0,
    )


def render_budget(summary: StudySummary, width: int | None = None) -> str:
    """The limits in a table, with the time that is left; empty once the study has ended."""
    if find_state(summary) is StudyState.FINISHED and len(budget_lines(summary)) == 1:
        return ""
    rows = [
        [
            f"  {line.name}",
            line.used,
            "of" if line.share is not None else "for",
            line.limit,
            "" if line.share is None else f"{100 * min(1.0, line.share):.0f} %",
        ]
        for line in budget_lines(summary)
    ]
    if not rows:
        return ""
    table = render_table(["  budget", "used", "", "limit", ""], rows, width)
    left = estimate_seconds_left(summary)
    return table if left is None else f"{table}\n  about {render_coarse(left)} left"


def bar(share: float, width: int, *, ascii_only: bool = False) -> str:
    """A share from 0 to 1 in so many cells, eighths of a cell exact."""
    width = max(1, width)
    share = min(1.0, max(0.0, share))
    if ascii_only:
        n_full = round(share * width)
        return "#" * n_full + "." * (width - n_full)
    eighths = round(share * width * 8)
    full, rest = divmod(eighths, 8)
    part = " ▏▎▍▌▋▊▉"[rest] if rest else ""
    return ("█" * full + part).ljust(width)


def steps_of(n_steps: int, full: int | None, noun: str) -> str:
    """`epoch 7 of 27`, `step 7`."""
    return f"{noun} {n_steps:,}" + ("" if full is None else f" of {full:,}")


def steps(n_steps: int, noun: str) -> str:
    """`7 epochs`."""
    return count(n_steps, noun)
