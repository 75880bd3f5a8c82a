"""Repeated signals, which a program between the terminal and this process passes on."""

import signal
from time import monotonic

ECHO_SECONDS = 0.5


class Asked:
    """The signal that came first, and its time."""

    def __init__(self) -> None:
        self.first: int | None = None
        self._at = 0.0

    def hear(self, number: int) -> bool:
        """Return whether a signal counts: the same number again within a moment is an echo.

        The terminal sends Ctrl-C to all of its programs, and a wrapper (`uv run`, a launcher)
        forwards its own copy to its child. A closing terminal may send SIGHUP twice, once through
        the shell. Neither is a second request.
        """
        now = monotonic()
        if self.first is None:
            self.first, self._at = number, now
            return True
        if number == signal.SIGHUP:
            return False
        return number != self.first or now - self._at >= ECHO_SECONDS
