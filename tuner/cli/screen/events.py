"""The last events on the screen: the study's history, and notices of this machine's agent."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.text import Text

from tuner.cli.text.words import one_line, render_value
from tuner.results.live import LiveStudy
from tuner.storage.reading.trials import EventRow

_WORDS = {
    "claimed": ("continues", "cyan"),
    "complete": ("complete", "green"),
    "pruned": ("pruned", "yellow"),
    "fail": ("failed", "red"),
    "quarantined": ("failed", "red"),
    "released": ("released", "magenta"),
    "attempt_failed": ("failed", "red"),
    "taken_over": ("taken over", "magenta"),
    "ended_elsewhere": ("ended elsewhere", "magenta"),
}
_TOLD = {"drain", "undrain", "stop", "pause", "resume", "limit_reached"}  # the detail is a sentence


@dataclass(frozen=True, kw_only=True)
class NewsLine:
    """A line for display, and its time."""

    at: datetime
    text: str


def event_lines(live: LiveStudy, news: Sequence[NewsLine], n_lines: int) -> list[Text]:
    """Return the newest lines, oldest first."""
    dated = [(event.at, _event(event, live)) for event in live.events]
    dated += [(line.at, Text(one_line(line.text))) for line in news]
    newest = sorted(dated, key=lambda pair: pair[0])[-n_lines:]
    return [
        Text(f"{at.astimezone():%H:%M:%S} ", style="dim").append_text(line) for at, line in newest
    ]


def _event(event: EventRow, live: LiveStudy) -> Text:
    if event.number is None:
        head = "" if event.kind in _TOLD and event.detail else f"{event.kind.replace('_', ' ')} "
        return Text(one_line(f"{head}{event.detail or ''}"), style="bold")
    word, style = _WORDS.get(event.kind, (event.kind.replace("_", " "), ""))
    digits = max(len(str(other.number)) for other in live.events if other.number is not None)
    line = Text(f"trial {str(event.number).rjust(digits)} ")
    line.append(one_line(word).ljust(9), style=style)
    if event.value is not None:
        line.append(f" {render_value(event.value)}".ljust(9))
    if any(event.number == record.number for record in live.records) and event.kind == "complete":
        line.append(" best so far", style="bold green")
    if event.detail:
        again = f"attempt {event.attempt}, tried again: " if event.kind == "attempt_failed" else ""
        line.append(f"  {again}{one_line(event.detail)}", style="dim")
    place = " ".join(one_line(part) for part in (event.host, event.device) if part)
    if place and len(live.summary.agents) > 1:
        line.append(f"  {place}", style="dim")
    return line
