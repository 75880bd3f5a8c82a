"""A study's limits, and the used part of each."""

from dataclasses import dataclass

from tuner.cli.text.words import count, render_coarse, render_table, render_value
from tuner.results.limits import LimitUse, find_limits
from tuner.results.progress import StudyState, find_state
from tuner.results.status import find_status
from tuner.results.summary import StudySummary
from tuner.study.durations import render_seconds
from tuner.study.trial import Direction


@dataclass(frozen=True, kw_only=True)
class BudgetLine:
    name: str  # "trials"
    used: str
    limit: str
    part: float | None  # used, from 0 to 1; None for a target


def budget_lines(summary: StudySummary) -> list[BudgetLine]:
    """Return the limits that the study has."""
    return [_line(limit, summary.study.direction) for limit in find_limits(summary)]


def _line(limit: LimitUse, direction: Direction) -> BudgetLine:
    match limit.key:
        case "seconds" | "device_seconds":
            used, most = render_seconds(limit.used or 0.0), render_seconds(limit.limit)
        case "target":
            sign = "<=" if direction is Direction.MINIMIZE else ">="
            used = "-" if limit.used is None else render_value(limit.used)
            most = f"{sign} {render_value(limit.limit)}"
        case _:
            used, most = f"{limit.used:,.0f}", f"{limit.limit:,.0f}"
    return BudgetLine(name=limit.name, used=used, limit=most, part=limit.part)


def render_budget(summary: StudySummary, width: int | None = None) -> str:
    """Render the limits in a table, with the time left; empty once the study has ended."""
    if find_state(summary) is StudyState.FINISHED and len(budget_lines(summary)) == 1:
        return ""
    rows = [
        [
            f"  {line.name}",
            line.used,
            "of" if line.part is not None else "for",
            line.limit,
            "" if line.part is None else f"{100 * line.part:.0f} %",
        ]
        for line in budget_lines(summary)
    ]
    if not rows:
        return ""
    table = render_table(["  budget", "used", "", "limit", ""], rows, width)
    status = find_status(summary)
    lines = [table]
    if status.seconds_left is not None:
        lines.append(f"  about {render_coarse(status.seconds_left)} left")
    if status.outlook is not None:
        lines.append(f"  {status.outlook.sentence}")
    return "\n".join(lines)


def bar(share: float, width: int, *, ascii_only: bool = False) -> str:
    """Render a share from 0 to 1 in so many cells, eighths of a cell exact."""
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
    """Return `epoch 7 of 27`, `step 7`."""
    return f"{noun} {n_steps:,}" + ("" if full is None else f" of {full:,}")


def steps(n_steps: int, noun: str) -> str:
    """Return `7 epochs`."""
    return count(n_steps, noun)
