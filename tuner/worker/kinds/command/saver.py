"""Copies of the folder into which a program writes its checkpoints."""

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic

from tuner.training.lane import Lane, UnfitState
from tuner.trial import Mistake

LOOK_SECONDS = 1.0  # between two looks at the folder
QUIET_SECONDS = 10.0  # without a change, before a folder is copied between two reports

_Look = frozenset[tuple[str, int, int]]  # path, bytes and time of the last change of each file


class FolderSaver:
    """Copies the folder while the program runs on.

    A copy belongs to the last reported step. A program that reports a step before it saves it may
    repeat that step after a resumption, and leaves out none. For one that saves first, a copy is
    made when a report comes, and between two reports only after a while without a change: if it
    then fails between the save and the report, the record lacks this step.
    """

    def __init__(
        self,
        lane: Lane,
        folder: Path,
        every_seconds: float,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._lane, self._folder = lane, folder
        self._every_seconds, self._clock = every_seconds, clock
        self._begun_at = self._looked_at = self._changed_at = clock()
        self._look = self._copied = _look_at(folder)  # as it was restored
        self._thread: threading.Thread | None = None
        self._fault = ""
        self._is_warned = False

    def consider(self, step: int, *, has_reported: bool) -> None:
        """Begin a copy if one is due; raises `Mistake` for a folder that cannot be copied."""
        if self._fault:
            raise Mistake(self._fault)
        now = self._clock()
        if self._is_copying or now - self._begun_at < self._every_seconds:
            return
        if not has_reported and now - self._looked_at < LOOK_SECONDS:
            return
        look = _look_at(self._folder)
        if look != self._look:
            self._look, self._changed_at = look, now
        self._looked_at = now
        is_quiet = now - self._changed_at >= QUIET_SECONDS
        if not look or look == self._copied or not (has_reported or is_quiet):
            return
        if not self._lane.trusts_folders:
            self._warn()
            return
        self._begun_at = now
        self._thread = threading.Thread(target=self._copy, args=(step, look), name="copy")
        self._thread.start()

    @property
    def _is_copying(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    @property
    def keeps_all(self) -> bool:
        """Return whether a copy is wanted at every step, the last one included."""
        return self._every_seconds <= 0

    def finish(self, step: int, *, is_wanted: bool) -> None:
        """Wait for the copy in progress; copy what is new if it is wanted."""
        if self._thread is not None:
            self._thread.join()
        if not is_wanted or not self._lane.trusts_folders:
            return
        for _ in range(2):  # a process that just ends may still change it
            look = _look_at(self._folder)
            if look and look != self._copied:
                self._copy(step, look)
        if self._fault:
            self._lane.warn(f"its checkpoint is not kept: {self._fault}")

    def _copy(self, step: int, look: _Look) -> None:
        try:
            if self._lane.save_folder(step, self._folder, force=True):
                self._copied = look
        except UnfitState as error:
            self._fault = str(error)

    def _warn(self) -> None:
        if not self._is_warned:
            self._is_warned = True
            self._lane.warn(
                "its program writes checkpoints that are not kept, because a folder may hold "
                "pickles; if you trust all who can write to the database and the checkpoint "
                "store, add `checkpoints: {folders: trusted}` to the study file"
            )


def _look_at(folder: Path) -> _Look:
    found = set()
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(place, name)
            try:
                status = os.lstat(path)
            except OSError:
                continue  # it is being replaced
            if not stat.S_ISDIR(status.st_mode):
                found.add((path, status.st_size, status.st_mtime_ns))
    return frozenset(found)
