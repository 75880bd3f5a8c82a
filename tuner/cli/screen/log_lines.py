"""`--log-format json`: one JSON object a line on stderr, for programs that collect logs."""

import logging
import os
import socket
import sys
from datetime import UTC, datetime
from typing import Any

from tuner.agent import notices
from tuner.cli.screen.views import render_notice
from tuner.cli.streams import raw_stream
from tuner.cli.text.as_json import render_json
from tuner.cli.text.words import clean
from tuner.study.trial import AttemptKey, TrialState

_WARNINGS = (
    notices.AttemptLost,
    notices.BreakerOpened,
    notices.CheckpointTrouble,
    notices.DatabaseLost,
    notices.DatabaseRefuses,
    notices.FolderMadeAgain,
    notices.PlacesBlocked,
    notices.StudyHalted,
    notices.TrialWarning,
    notices.WorkerDied,
    notices.WorkersResting,
)


class LogLines:
    """Writes notices as log lines with the study, the trial, its attempt and its device."""

    def __init__(self) -> None:
        self._study: str | None = None
        self._step_noun = "epoch"
        self._devices: dict[AttemptKey, str] = {}  # of the attempts that train here

    def show(self, notice: notices.Notice) -> None:
        """Write a line; every notice is worth one."""
        write_line(self.document(notice))

    def document(self, notice: notices.Notice) -> dict[str, Any]:
        """Return a notice as one log line."""
        if isinstance(notice, notices.StudyJoined):
            self._study, self._step_noun = notice.name, notice.step_noun
        if isinstance(notice, notices.TrialStarted):
            self._devices[notice.key] = notice.worker
        key: AttemptKey | None = getattr(notice, "key", None)
        trial = getattr(notice, "number", None) if key is None else key.number
        device = getattr(notice, "worker", None) if key is None else self._devices.get(key)
        if key is not None and not isinstance(notice, notices.TrialStarted):
            self._devices.pop(key, None)  # all others are about the end of an attempt
        text = render_notice(notice, self._step_noun)
        if text is None and isinstance(notice, notices.TrialStarted):
            text = f"trial {notice.key.number}: begins on {notice.worker}"
        return {
            "at": _now(),
            "level": _level(notice),
            "event": type(notice).__name__,
            "study": self._study,
            "trial": trial,
            "attempt": None if key is None else key.attempt,
            "device": device,
            "message": clean(text or type(notice).__name__),
        }

    def close(self) -> None:
        """Do nothing: no notice is held back."""


class LogHandler(logging.Handler):
    """Writes records of the `logging` module as the same kind of lines."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
        except (TypeError, ValueError):
            text = str(record.msg)
        write_line(
            {
                "at": _now(),
                "level": record.levelname.lower(),
                "event": record.name,
                "message": clean(text),
            }
        )


def collect_logs() -> None:
    """Let all of this process's logging write JSON lines."""
    logging.basicConfig(handlers=[LogHandler()], level=logging.WARNING, force=True)


def write_line(document: dict[str, Any]) -> None:
    """Write a line with the machine and the process that it comes from, unless it names them."""
    where = {"host": socket.gethostname(), "pid": os.getpid()}
    print(render_json({**where, **document}), file=raw_stream(sys.stderr), flush=True)


def machine_line(study: str | None, message: str) -> None:
    """Write a line of `tuner agent` itself."""
    about = {"at": _now(), "level": "info", "event": "Fleet", "study": study}
    write_line({**about, "message": clean(message)})


def error_line(message: str) -> None:
    """Write the error that ends a command."""
    write_line({"at": _now(), "level": "error", "event": "Error", "message": clean(message)})


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _level(notice: notices.Notice) -> str:
    if isinstance(notice, notices.TrialEnded) and notice.state is TrialState.FAIL:
        return "warning"
    if isinstance(notice, notices.AttemptReleased) and notice.has_failed:
        return "warning"
    return "warning" if isinstance(notice, _WARNINGS) else "info"
