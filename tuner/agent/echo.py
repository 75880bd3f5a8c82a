"""Signals that come twice because a program between the terminal and us passes them on."""

import signal
from time import monotonic

ECHO_SECONDS = 0.5


class Asked:
    """Which signal has come first, and when."""

    def __init__(self) -> None:
        self.first: int | None = None
        self._at = 0.0

    def hear(self, number: int) -> bool:
        """Whether a signal counts: the first one's number again, so soon after it, is an echo.

        The terminal sends Ctrl-C to all of its programs, and a wrapper (`uv run`, a launcher)
        sends its child what it has got itself. A terminal that closes may send SIGHUP, and the
        shell in it once more: that is never impatience.
        """
        now = monotonic()
        if self.first is None:
            self.first, self._at = number, now
            return True
        if number == signal.SIGHUP:
            return False
        return number != self.first or now - self._at >= ECHO_SECONDS
