"""The progress of one training: a line that is redrawn on a terminal, a few lines otherwise."""

import sys
from collections.abc import Mapping
from time import monotonic
from typing import Protocol

from tuner.cli.streams import raw_stream
from tuner.cli.terminal import has_screen
from tuner.cli.text.words import (
    can_show,
    clean,
    cut,
    flat,
    render_coarse,
    render_value,
    terminal_width,
)

_WIDTH = 12
_DRAW_SECONDS = 0.1
_LINES = 10  # where nothing can be drawn again


class Step(Protocol):
    @property
    def step(self) -> int: ...

    @property
    def n_steps(self) -> int | None: ...

    @property
    def values(self) -> Mapping[str, float]: ...

    @property
    def best(self) -> tuple[int, float] | None:
        """Return step and value of the best metric so far."""


class ProgressLine:
    """Shows steps and sentences on stderr."""

    def __init__(self, metric: str, *, has_best: bool = True) -> None:
        self._metric, self._has_best = metric, has_best
        self._first: tuple[float, int] | None = None  # when the first step came, and which
        self._drawn_at = 0.0
        self._is_screen = has_screen(sys.stderr)
        self._is_open = False

    def tell(self, news: Step | str) -> None:
        """Show a step, or a sentence."""
        if isinstance(news, str):
            self.close()
            print(clean(news), file=sys.stderr, flush=True)
            return
        now = monotonic()
        if self._first is None:
            self._first = (now, news.step)
        is_last = news.step == news.n_steps
        if self._is_screen and (is_last or now - self._drawn_at >= _DRAW_SECONDS):
            self._drawn_at, self._is_open = now, True
            text = cut(flat(self.render(news, now)), terminal_width(sys.stderr))
            print(f"\r\x1b[K{text}", end="", file=raw_stream(sys.stderr), flush=True)
        elif not self._is_screen and _is_told(news):
            print(flat(self.render(news, now)), file=sys.stderr, flush=True)

    def render(self, news: Step, now: float) -> str:
        """Render `epoch 12/27 [####....] val_loss 0.071, best 0.069 at 10, 3 s left`."""
        parts = [f"step {news.step}" + (f"/{news.n_steps}" if news.n_steps else "")]
        if news.n_steps and self._is_screen:
            parts.append(_bar(news.step / news.n_steps))
        value = news.values.get(self._metric)
        if value is not None:
            parts.append(f"{self._metric} {render_value(value)}")
        if news.best is not None and self._has_best:
            parts.append(f"best {render_value(news.best[1])} at {news.best[0]}")
        assert self._first is not None
        began, first = self._first
        if news.n_steps and news.step > first:
            left = (now - began) / (news.step - first) * (news.n_steps - news.step)
            parts.append(f"{render_coarse(left)} left")
        return "  ".join(parts)

    def close(self) -> None:
        """End the line that is redrawn."""
        if self._is_open:
            print(file=sys.stderr, flush=True)
            self._is_open = False


def _is_told(news: Step) -> bool:
    """Return whether to print: about ten steps of all, and powers of two if the end is unknown."""
    if news.n_steps is None:
        return news.step & (news.step - 1) == 0
    every = max(1, news.n_steps // _LINES)
    return news.step % every == 0 or news.step == news.n_steps


def _bar(share: float) -> str:
    full, empty = ("█", "░") if can_show("█░", sys.stderr) else ("#", ".")
    n = round(_WIDTH * min(1.0, share))
    return full * n + empty * (_WIDTH - n)
