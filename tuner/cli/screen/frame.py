"""The live screen of a study, drawn from its data: no clock, no terminal, no database."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.text import Text

from tuner.cli.screen.events import NewsLine, event_lines
from tuner.cli.screen.machines import machine_rows
from tuner.cli.screen.trend import best_so_far
from tuner.cli.text.budget import bar, budget_lines
from tuner.cli.text.summary import render_saved
from tuner.cli.text.words import count, one_line, render_coarse, render_value
from tuner.results.live import LiveStudy
from tuner.results.progress import (
    StudyState,
    estimate_seconds_left,
    find_reason,
    find_state,
)
from tuner.results.status import find_status
from tuner.results.summary import StudySummary
from tuner.study.durations import render_seconds
from tuner.study.trial import COUNTED_STATES, TrialState

_STATE_STYLES = {
    StudyState.RUNNING: "bold green",
    StudyState.FINISHED: "bold green",
    StudyState.PAUSED: "bold yellow",
    StudyState.STOPPING: "bold yellow",
    StudyState.STOPPED: "bold yellow",
    StudyState.HALTED: "bold red",
    StudyState.IDLE: "bold yellow",
}
_TRIAL_STYLES = {
    TrialState.COMPLETE: "green",
    TrialState.PRUNED: "yellow",
    TrialState.FAIL: "red",
    TrialState.RUNNING: "cyan",
    TrialState.RELEASED: "magenta",
    TrialState.WAITING: "blue",
    TrialState.ELSEWHERE: "magenta",
}
_STALE_SECONDS = 6.0  # late


@dataclass(frozen=True, kw_only=True)
class Frame:
    """Size and state of the screen."""

    width: int
    height: int
    footer: str
    ascii_only: bool = False
    age_seconds: float = 0.0  # of the data shown
    late_seconds: float = 0.0  # since newer things should have come
    error: str | None = None  # why nothing newer came
    news: Sequence[NewsLine] = ()  # notices of this machine's agent


def render_screen(live: LiveStudy, frame: Frame) -> Text:
    """Draw at most `height` lines, none wider than `width`."""
    head = [
        *_head(live, frame),
        Text(),
        *_budget(live.summary, frame),
        *_counts(live.summary, frame),
    ]
    below = [*_alerts(live, frame), *_failures(live.summary)]
    room = frame.height - len(head) - len(below) - 3
    machines = machine_rows(live, frame.width, max(1, room), ascii_only=frame.ascii_only)
    lines = [*head, Text(), *machines, *below]
    n_events = frame.height - len(lines) - 3
    if n_events > 0:
        lines += [Text(), *event_lines(live, frame.news, n_events)]
    lines = lines[: max(0, frame.height - 1)]
    lines += [Text()] * (frame.height - 1 - len(lines))
    return _joined([*lines, Text(frame.footer, style="dim")], frame)


def render_waiting(text: str, frame: Frame) -> Text:
    """Render the screen before there is anything to show."""
    said = [Text(one_line(text)), *(Text(line.text) for line in frame.news[-frame.height + 3 :])]
    return _joined([*said, Text(), Text(frame.footer, style="dim")], frame)


def _joined(lines: Iterable[Text], frame: Frame) -> Text:
    """Join lines, each cut to the width, so that none wraps."""
    cut = []
    for line in lines:
        cut.append(_cut(line, max(1, frame.width), ascii_only=frame.ascii_only))
    return Text("\n", no_wrap=True, end="").join(cut)


def _cut(line: Text, width: int, *, ascii_only: bool) -> Text:
    """Cut after a whole word: half a number would be another number."""
    if line.cell_len <= width:
        return line
    end = "" if ascii_only else "…"
    kept = line.copy()
    kept.truncate(width - len(end))
    at = kept.plain.rfind(" ")
    is_in_word = line.plain[len(kept.plain) : len(kept.plain) + 1].strip() != ""
    if is_in_word and at > 0:
        kept.right_crop(len(kept.plain) - at)
    kept.rstrip()
    kept.append(end)
    return kept


def _head(live: LiveStudy, frame: Frame) -> list[Text]:
    summary = live.summary
    state = find_state(summary)
    reason = find_reason(summary)
    line = Text()
    line.append(summary.study.name, style="bold")
    line.append("  ")
    line.append(state.value, style=_STATE_STYLES[state])
    if reason:
        line.append(f" ({one_line(reason)})", style="yellow")
    line.append(f"  {summary.study.direction} {summary.study.metric}", style="dim")
    left = estimate_seconds_left(summary)
    if left is not None:
        _to_the_right(line, f"about {render_coarse(left)} left", frame.width)
    return [line, _best(live, frame)]


def _to_the_right(line: Text, text: str, width: int) -> None:
    gap = width - line.cell_len - len(text)
    if gap >= 2:
        line.append(" " * gap + text, style="bold")


def _best(live: LiveStudy, frame: Frame) -> Text:
    best = live.summary.best
    if best is None:
        return Text("no COMPLETE trial yet", style="dim")
    line = Text("best ")
    line.append(render_value(best.value), style="bold green")
    line.append(f"  trial {best.number}  ")
    room = min(40, frame.width // 4)
    trend = best_so_far(live.records, live.summary.n(TrialState.COMPLETE), room)
    line.append(trend if not frame.ascii_only else "", style="green")
    params = ", ".join(f"{one_line(n)} {render_value(v)}" for n, v in best.params.items())
    line.append(f"  {params}", style="dim")
    return line


def _budget(summary: StudySummary, frame: Frame) -> list[Text]:
    lines = budget_lines(summary)
    width = max((len(line.name) for line in lines), default=0)
    room = max(8, min(50, frame.width - width - 34))
    shown = []
    for given in lines:
        line = Text(f"{given.name.ljust(width)}  ")
        if given.part is None:
            line.append(f"best {given.used}, wanted {given.limit}")
        else:
            style = "cyan" if given.part < 0.9 else "yellow"
            drawn = bar(given.part, room, ascii_only=frame.ascii_only)
            line.append(drawn, style=f"{style} on grey23" if not frame.ascii_only else style)
            line.append(f"  {given.used} of {given.limit}")
        shown.append(line)
    return shown


def _counts(summary: StudySummary, frame: Frame) -> list[Text]:
    line = Text()
    for state in COUNTED_STATES:
        n = summary.n(state)
        if n or state in (TrialState.COMPLETE, TrialState.PRUNED):
            line.append(f"{n:,}", style=f"bold {_TRIAL_STYLES[state]}")
            line.append(f" {state.word}   ")
    spent = f"{count(summary.n_steps, summary.step_noun)}"
    saved = render_saved(summary)
    effort = Text(f"{spent} trained" + (f", {saved}" if saved else ""), style="dim")
    is_wide = line.cell_len + effort.cell_len + 2 <= frame.width
    return [Text.assemble(line, effort)] if is_wide else [line, effort]


def _alerts(live: LiveStudy, frame: Frame) -> list[Text]:
    said = []
    if frame.error is not None or frame.late_seconds > _STALE_SECONDS:
        age = f"the data shown are {render_seconds(frame.age_seconds)} old"
        why = f" ({one_line(frame.error)})" if frame.error else ""
        said.append(f"the database does not answer, {age}{why}")
    status = find_status(live.summary)
    for agent in status.lost:
        silent = render_seconds(agent.silent_seconds)
        said.append(f"lost: {one_line(agent.host)} (pid {agent.pid}), silent for {silent}")
    said += [f"{one_line(alert.host)}: {one_line(alert.text)}" for alert in status.alerts]
    mark = "!" if frame.ascii_only else "▲"
    return [Text(f"{mark} {text}", style="bold yellow") for text in said[:4]]


def _failures(summary: StudySummary) -> list[Text]:
    lines = []
    for failure in summary.failures[:3]:
        line = Text(f"{failure.n_trials} x ", style="bold red")
        line.append(one_line(failure.reason), style="red")
        lines.append(line)
    n_more = len(summary.failures) - 3
    if n_more > 0:
        lines.append(Text(f"and {count(n_more, 'other reason')}; tuner status", style="red"))
    return lines
