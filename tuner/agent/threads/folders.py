"""Folders of this machine that something else may remove: a clean-up job, an unmounted disk."""

import queue
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from tuner.agent.events import Event, FolderLost, FolderRestored, report_failures
from tuner.errors import CannotWork
from tuner.helper_thread import HelperThread

LOOK_SECONDS = 1.0


class Folder(Protocol):
    """A folder that the agent cannot work without."""

    path: Path

    def is_there(self) -> bool:
        """Whether nothing has removed it."""
        ...

    def restore(self) -> None:
        """Make it again, which may take seconds; raises `CannotWork`."""
        ...


class FolderThread(HelperThread):
    """Looks after the folders, in a thread of its own: a network file system may hang."""

    def __init__(self, folders: Sequence[Folder], inbox: "queue.SimpleQueue[Event]") -> None:
        super().__init__("folders", report_failures(inbox))
        self._folders = folders
        self._inbox = inbox

    def work(self) -> float | None:
        """Look once; end when a folder cannot be made again."""
        for folder in self._folders:
            try:
                if not folder.is_there():
                    folder.restore()
                    self._inbox.put(FolderRestored(path=str(folder.path)))
            except CannotWork as error:
                self._inbox.put(FolderLost(error=error))
                return None
            except OSError as error:
                failed = CannotWork(f"{folder.path} cannot be looked at: {error.strerror}")
                self._inbox.put(FolderLost(error=failed))
                return None
        return LOOK_SECONDS
