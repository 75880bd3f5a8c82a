"""Views of `tuner run`: one line per event, or one JSON object."""

import re
import sys
from contextlib import suppress
from dataclasses import asdict
from typing import Protocol, assert_never

from tuner.agent import notices
from tuner.cli.streams import raw_stream
from tuner.cli.terminal import has_colour
from tuner.cli.text.as_json import render_json
from tuner.cli.text.words import (
    clean,
    count,
    flat,
    render_value,
    terminal_width,
    wrap,
)
from tuner.helper_thread import JobThread
from tuner.study.durations import render_seconds
from tuner.study.lease import Origin
from tuner.study.trial import TrialState

QUEUED_NOTICES = 10_000
MAX_RUNNING = 8  # in one line
CLOSE_SECONDS = 2.0


class NoticeView(Protocol):
    """Shows notices, in whatever thread."""

    def show(self, notice: notices.Notice) -> None: ...

    def close(self) -> None: ...


class QueuedView(JobThread[notices.Notice]):
    """Shows notices in a thread of its own, so that a blocked terminal does not block the agent."""

    def __init__(self, view: NoticeView) -> None:
        super().__init__("view", max_jobs=QUEUED_NOTICES)
        self._view = view
        self.start()

    def show(self, notice: notices.Notice) -> None:
        """Queue a notice; it is dropped while the screen takes no text."""
        self.post(notice)

    def close(self) -> bool:
        """Show the waiting notices; return False when the screen takes no text."""
        return self.finish(CLOSE_SECONDS)

    def work(self) -> float | None:
        # A reader that has gone away is met again, and dealt with, when the end is printed.
        with suppress(OSError, ValueError):
            try:
                seconds = super().work()
            except BaseException:
                self._view.close()
                raise
            if seconds is None:
                self._view.close()
            return seconds
        return None

    def perform(self, job: notices.Notice) -> None:
        self._view.show(job)


class PlainView:
    """One line per event on stderr."""

    def __init__(self) -> None:
        self._step_noun = "epoch"

    def show(self, notice: notices.Notice) -> None:
        """Print it, if it is worth a line."""
        if isinstance(notice, notices.StudyJoined):
            self._step_noun = notice.step_noun
        line = render_notice(notice, self._step_noun)
        if line is not None:
            text = wrap(clean(line), terminal_width(sys.stderr))
            text = paint(text) if has_colour(sys.stderr) else text
            print(text, file=raw_stream(sys.stderr), flush=True)

    def close(self) -> None:
        """Do nothing: no notice is held back."""


class JsonView:
    """One JSON object a line on stdout, every notice with its type under "event"."""

    def show(self, notice: notices.Notice) -> None:
        print(render_json({"event": type(notice).__name__, **asdict(notice)}), flush=True)

    def close(self) -> None:
        """Do nothing: no notice is held back."""


_COLOURS = {"complete": 32, "pruned": 33, "failed": 31, "released": 35, "lost": 35}
_ENDS = re.compile(rf"(?<=: )({'|'.join(_COLOURS)})\b")


def paint(line: str) -> str:
    """Colour a line by the end of its trial."""
    return _ENDS.sub(lambda end: f"\x1b[{_COLOURS[end[1]]}m{end[1]}\x1b[0m", line, count=1)


def render_notice(notice: notices.Notice, step_noun: str = "epoch") -> str | None:
    """Render a line, or several after joining; None for a notice that is not worth a line."""
    if isinstance(notice, notices.StudyJoined):
        return _joined(notice)
    line = _line_of(notice, step_noun)
    return None if line is None else flat(line)


def _line_of(notice: notices.Notice, step_noun: str) -> str | None:  # noqa: C901 - a table of notices
    if isinstance(notice, notices.Told):
        return notice.sentence
    match notice:
        case notices.StudyJoined():
            return None
        case notices.TrialStarted():
            return _started(notice, step_noun)
        case notices.TrialEnded():
            return _ended(notice, step_noun)
        case notices.AttemptReleased():
            return _released(notice)
        case notices.AttemptLost():
            return (
                f"trial {notice.key.number}: lost, another agent holds it now; "
                "this machine dropped its work on it"
            )
        case notices.WorkerDied():
            return f"worker {notice.worker}: {notice.how}; starting another"
        case notices.DatabaseLost():
            return f"the database is away, training continues ({notice.message})"
        case notices.DatabaseRefuses():
            return (
                "the database refuses this agent, training continues and it is asked again every "
                f"30 s ({notice.message})"
            )
        case notices.DatabaseBack():
            return f"the database is back after {render_seconds(notice.away_seconds)}"
        case notices.FolderMadeAgain():
            return f"{notice.path} had disappeared and was made again; training continues"
        case notices.WaitingForOthers():
            return (
                f"all trials are given out; waiting for {count(notice.n_open, 'trial')} elsewhere"
            )
        case notices.Stopping():
            return (
                f"{notice.signal}: releasing {count(notice.n_trials, 'trial')}, at most "
                f"{notice.grace_seconds:.0f} s; a second signal stops at once"
            )
        case notices.StudyPaused():
            return f"paused: {notice.reason}"
        case notices.StudyResumed():
            return "the study continues"
        case notices.StudyStopping():
            return f"stopping: {notice.reason}"
        case notices.StudyHalted():
            return f"halted: {notice.reason}"
        case notices.WorkersResting():
            return (
                f"the database has been away for {render_seconds(notice.away_seconds)}: workers "
                "save, end, and start again when it is back"
            )
        case notices.Tally():
            return _tally(notice, step_noun)
        case _:
            assert_never(notice)


def _joined(notice: notices.StudyJoined) -> str:
    verb = "new study" if notice.is_new else "joining study"
    budget = "" if notice.n_trials is None else f" ({count(notice.n_trials, 'trial')})"
    lines = [
        f"{verb} {notice.name}{budget} in {notice.storage}",
        notice.data if notice.data.startswith(("function ", "command ")) else f"data {notice.data}",
        f"{count(len(notice.workers), 'worker')}: {', '.join(notice.workers)}",
        *(f"note: {text}" for text in notice.notices),
    ]
    return "\n".join(map(flat, lines))


_ORIGINS = {
    Origin.RELEASED: "was released",
    Origin.TAKEN_OVER: "was lost by its agent",
    Origin.ADOPTED: "is ours by a claim whose answer was lost",
}


def _started(notice: notices.TrialStarted, step_noun: str) -> str | None:
    if notice.key.attempt == 1:
        return None
    why = _ORIGINS.get(notice.origin, notice.origin.value)
    verb = "continues here"
    if notice.follows_failure and notice.origin is Origin.RELEASED:
        why, verb = "failed", "is tried again here"
    # Without a checkpoint, a function may still continue from files of its own.
    place = f"from {step_noun} {notice.from_step}" if notice.from_step else "without a checkpoint"
    return f"trial {notice.key.number}: {why}, {verb} {place} (attempt {notice.key.attempt})"


def _released(notice: notices.AttemptReleased) -> str:
    if notice.has_failed:
        of = "" if notice.max_attempts is None else f" of {notice.max_attempts}"
        return (
            f"trial {notice.key.number}: attempt {notice.key.attempt}{of} failed, "
            f"it will be tried again: {notice.reason}"
        )
    why = "" if notice.reason == "released" else f" ({notice.reason})"
    return f"trial {notice.key.number}: released{why}"


def _ended(notice: notices.TrialEnded, step_noun: str) -> str:
    steps = count(notice.n_steps, step_noun)
    head = f"trial {notice.key.number}: "
    if notice.state is TrialState.COMPLETE:
        best = "   best so far" if notice.is_best else ""
        return f"{head}complete  {render_value(notice.value)}  {steps}{best}"
    if notice.state is TrialState.PRUNED:
        return f"{head}pruned    {render_value(notice.value)}  {steps}  {notice.reason}"
    return f"{head}failed    {notice.reason}"


def _tally(notice: notices.Tally, step_noun: str) -> str:
    n_final = notice.n_complete + notice.n_pruned + notice.n_failed
    of = "" if notice.n_trials is None else f" of {notice.n_trials}"
    best = (
        f", best {render_value(notice.best_value)} (trial {notice.best_number})"
        if notice.best_value is not None
        else ""
    )
    running = ", ".join(
        _progress(r, notice.n_steps, step_noun) for r in notice.in_training[:MAX_RUNNING]
    )
    return (
        f"-- {n_final}{of}: {notice.n_complete} complete, "
        f"{notice.n_pruned} pruned, {notice.n_failed} failed, {notice.n_open} open{best}"
        + (f"; here {running}" if running else "")
    )


def _progress(running: notices.InTraining, n_steps: int | None, step_noun: str) -> str:
    value = f" ({render_value(running.value)})" if running.value is not None else ""
    of = "" if n_steps is None else f" of {n_steps:,}"
    return f"trial {running.number} at {step_noun} {running.step:,}{of}{value}"
