"""The screen on a terminal: rich draws it, a thread reads, and it ends in plain lines."""

import sys
import time
from collections import deque
from datetime import UTC, datetime

from rich.console import Console
from rich.live import Live
from rich.text import Text

from tuner.agent import notices
from tuner.cli.screen.events import NewsLine
from tuner.cli.screen.frame import Frame, render_screen, render_waiting
from tuner.cli.screen.reader import LiveReader, OpenDatabase
from tuner.cli.screen.views import PlainView, render_notice
from tuner.cli.streams import raw_stream
from tuner.cli.text.words import can_show, clean

FRAMES_PER_SECOND = 4
_RUN_FOOTER = "Ctrl-C: save, release the trials and leave; a second time: leave at once"
_SAID_BY_THE_RECORD = (
    notices.TrialStarted,
    notices.TrialEnded,
    notices.AttemptReleased,
    notices.StudyPaused,
    notices.StudyResumed,
    notices.StudyStopping,
    notices.StudyHalted,
    notices.Tally,
)


class Screen:
    """Draws a reader's data on the alternate screen; a new size applies from the next frame."""

    def __init__(self, reader: LiveReader, footer: str) -> None:
        self._reader = reader
        self._footer = footer
        self._console = Console(file=raw_stream(sys.stderr), highlight=False)
        self._ascii_only = not can_show("█▏▁●▲…", sys.stderr)
        self._news: deque[NewsLine] = deque(maxlen=50)
        self._live = Live(
            get_renderable=self._draw,
            console=self._console,
            screen=True,
            refresh_per_second=FRAMES_PER_SECOND,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def start(self) -> None:
        """Switch the terminal to the alternate screen."""
        self._reader.start()
        self._live.start()

    def stop(self) -> None:
        """Restore the terminal."""
        self._live.stop()
        self._reader.stop()

    def tell(self, text: str) -> None:
        """Add a line to the events."""
        self._news.append(NewsLine(at=datetime.now(UTC), text=clean(text)))

    def _draw(self) -> Text:
        screen = self._render()
        screen.plain = clean(
            screen.plain
        )  # styles are separate from the text, which may contain any characters
        return screen

    def _render(self) -> Text:
        look = self._reader.look
        size = self._console.size
        frame = Frame(
            width=size.width,
            height=size.height,
            footer=self._footer,
            ascii_only=self._ascii_only,
            age_seconds=time.monotonic() - look.seen_at,
            late_seconds=time.monotonic() - look.next_at,
            error=look.error,
            news=tuple(self._news),
        )
        if look.study is None:
            return render_waiting(look.error or "reading the study ...", frame)
        return render_screen(look.study, frame)


class LiveView:
    """The view of `tuner run` on a terminal.

    The screen lasts from the joining of the study to its end, or to the first signal: later notices
    are plain lines, which stay even after a second signal.
    """

    def __init__(self, open_database: OpenDatabase) -> None:
        self._open = open_database
        self._plain = PlainView()
        self._screen: Screen | None = None
        self._is_over = False

    def show(self, notice: notices.Notice) -> None:
        """Show a notice on the screen while there is one."""
        if isinstance(notice, notices.Stopping):
            self._end()
        if self._screen is not None:
            line = render_notice(notice)
            is_known = isinstance(notice, _SAID_BY_THE_RECORD)
            if line is not None and not is_known:
                self._screen.tell(line)
            return
        self._plain.show(notice)
        if isinstance(notice, notices.StudyJoined) and not self._is_over:
            self._screen = Screen(LiveReader(self._open, notice.name), _RUN_FOOTER)
            self._screen.start()

    def close(self) -> None:
        """Restore the terminal."""
        self._end()

    def _end(self) -> None:
        self._is_over = True
        if self._screen is not None:
            self._screen.stop()
            self._screen = None
