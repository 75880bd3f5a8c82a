"""The objects of an agent's checkpoints in a store outside the database."""

import logging
import threading
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from uuid import UUID

from tuner.errors import ObjectMissing, StoreFails
from tuner.storage.objects.keys import build_key, is_key, is_own, trial_prefix
from tuner.storage.objects.store import ObjectStore
from tuner.storage.work.spooled import open_intact
from tuner.study.checkpoint import SavedFile
from tuner.study.trial import AttemptKey

log = logging.getLogger(__name__)

# Only the newest ends matter: the agent removes the file of an upload that waits when it hears of
# the end. At least as many as an agent trains at once.
_MAX_ENDED = 4096


class Uploads:
    """Objects exist before their rows; those without a row go with the last object of the trial.

    Safe for several threads: the writer of an end waits for the upload of its checkpoint.
    """

    def __init__(self, store: ObjectStore, database_id: UUID, study_id: int) -> None:
        self._store = store
        self._database_id = database_id
        self._study_id = study_id
        self._uploading = threading.Lock()  # held during an upload
        self._state = threading.Lock()  # for the next three
        self._keys: dict[SavedFile, str] = {}  # uploaded, and not registered yet
        self._ended: deque[AttemptKey] = deque(maxlen=_MAX_ENDED)
        self._numbers: set[int] = set()  # trials that have objects

    def upload(self, saved: SavedFile) -> str | None:
        """Store a checkpoint once and return its key; None for a file that is damaged or too late.

        Raises `StoreFails`, after the retries of the store.
        """
        # An uploaded one does not wait for the upload of another trial.
        key = self._uploaded(saved)
        if key is not None:
            return key
        with self._uploading:
            return self._uploaded(saved) or self._put(saved)

    def _uploaded(self, saved: SavedFile) -> str | None:
        with self._state:
            return self._keys.get(saved)

    def _put(self, saved: SavedFile) -> str | None:
        with open_intact([saved]) as intact:
            if not intact:
                return None
        key = build_key(self._database_id, self._study_id, saved.key, saved.step)
        try:
            self._store.put(key, Path(saved.path))
        except ObjectMissing:
            return None  # the file is gone: a newer one has replaced it
        with self._state:
            is_late = saved.key in self._ended
            if not is_late:
                self._numbers.add(saved.key.number)
                self._keys[saved] = key
        if is_late:
            self.remove([key])
            return None
        return key

    def try_upload(self, saved: SavedFile) -> str | None:
        """Upload like `upload`; log a store that fails and return None."""
        try:
            return self.upload(saved)
        except StoreFails as error:
            log.error("the checkpoint of trial %d is not stored: %s", saved.key.number, error)
            return None

    def read(self, number: int, key: str, n_bytes: int) -> Iterator[bytes]:
        """Yield an object; raises `ObjectMissing` for a key that is not one of ours."""
        if not is_key(key):
            raise ObjectMissing("the key is not one of tuner's")
        with self._state:
            self._numbers.add(number)
        return self._store.read(key, n_bytes)

    def registered(self, saved: Collection[SavedFile], replaced: Sequence[str]) -> None:
        """Note committed rows, and remove the objects of those that they replace."""
        with self._state:
            for file in saved:
                self._keys.pop(file, None)
        self.remove(replaced)

    def ended(self, keys: Collection[AttemptKey], finished: Collection[int]) -> None:
        """Drop later uploads of these attempts, and remove the objects of finished trials."""
        with self._state:
            self._ended.extend(keys)
            self._keys = {saved: key for saved, key in self._keys.items() if saved.key not in keys}
            numbers = self._numbers & set(finished)
            self._numbers -= numbers
        for number in numbers:
            try:
                self._store.remove_below(trial_prefix(self._database_id, self._study_id, number))
            except StoreFails as error:
                log.warning("objects of trial %d stay in the store: %s", number, error)

    def remove(self, keys: Sequence[str]) -> None:
        """Remove objects of this database; those of the database before a restore stay."""
        own = [key for key in keys if is_own(key, self._database_id)]
        try:
            if own:
                self._store.remove(own)
        except StoreFails as error:
            log.warning("%d objects stay in the store: %s", len(own), error)
