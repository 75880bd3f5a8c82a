"""The lane of a trial that runs outside tuner."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from tuner.study.code import Code
from tuner.study.trial import Params, ParamValue, Values
from tuner.study.verdict import Verdict

log = logging.getLogger(__name__)


class Owner(Protocol):
    """The trial, as its lane sees it."""

    number: int
    seed: int
    params: dict[str, ParamValue]

    @property
    def dir(self) -> Path: ...


class Alone:
    """A lane for a trial without an agent."""

    from_step, last_value = 0, None
    trusts_folders = True  # this program wrote them

    def __init__(self, trial: Owner) -> None:
        self._trial = trial

    @property
    def number(self) -> int:
        return self._trial.number

    @property
    def params(self) -> Params:
        return self._trial.params

    @property
    def seed(self) -> int:
        return self._trial.seed

    @property
    def checkpoint(self) -> str | None:
        files = sorted(self._files())
        return str(files[0]) if files else None

    def report(self, step: int, values: Values, *, is_last: bool = False) -> None:
        """Do nothing: `trial.reports` has the report already."""

    def is_save_due(self, step: int) -> bool:
        return True

    def save(self, step: int, state: Callable[[], object]) -> bool:
        from tuner.training.checkpoint import save_checkpoint  # noqa: PLC0415 - loads torch

        file = save_checkpoint(self._trial.dir, "checkpoint", state())
        for other in self._files() - {file.path}:
            other.unlink()
        return True

    def save_folder(self, step: int, folder: Path, *, force: bool = False) -> bool:
        return self.save(step, lambda: folder)

    def _files(self) -> set[Path]:
        return {path for path in self._trial.dir.glob("checkpoint.*") if path.is_file()}

    def verdict(self) -> Verdict:
        return Verdict.CONTINUE

    def keep(self, value: float, state: Callable[[], Mapping[str, Any]]) -> None:
        """Keep nothing: a function's own saves are its only state."""

    def warn(self, text: str) -> None:
        """Show the warning in the log."""
        log.warning("%s", text)

    def note_code(self, code: Code) -> bool:
        """Record nothing: there is no study."""
        return True

    def once(self, act: Callable[[], None]) -> None:
        """Act: one process trains."""
        act()

    def leave(self, verdict: Verdict, message: str, facts: Mapping[str, object]) -> None:
        """Do nothing: no verdict has asked it to stop."""
