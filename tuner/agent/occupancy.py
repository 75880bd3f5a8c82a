"""GPUs that this agent alone uses: a row of the database, and a lock on this machine.

The lock also holds between agents of different databases that share `TUNER_HOME`, and while the
database is away; the row also holds between containers that share a GPU and no folder.
"""

import fcntl
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tuner import processes
from tuner.agent.port import Store
from tuner.study.agents import DeviceHolder

_UNSAFE = re.compile(r"[^A-Za-z0-9-]")


class Occupancy:
    """The GPUs of an agent's places; each call is one of the heartbeat thread."""

    def __init__(
        self, store: Store, folder: Path, boot: str, uuids: Mapping[str, Sequence[str]]
    ) -> None:
        """Build it for places with the UUIDs of their GPUs; locks are files in `folder`."""
        self._boot = boot
        self._store = store
        self._folder = folder
        self._uuids = {place: tuple(given) for place, given in uuids.items() if given}
        self._locks: dict[str, int] = {}  # uuid -> descriptor of its locked file

    @property
    def places(self) -> tuple[str, ...]:
        """Return the places that have GPUs."""
        return tuple(self._uuids)

    def renew(self, given_up: frozenset[str]) -> dict[str, str]:
        """Take the GPUs of all places but those; return the places without theirs, with the reason.

        The reason of a place that was given up is empty. Raises `DatabaseError`.
        """
        unused = {u for place in given_up for u in self._uuids.get(place, ())}
        wanted = {u for given in self._uuids.values() for u in given} - unused
        self._give(unused)
        missing = {uuid: text for uuid in sorted(wanted) if (text := self._lock(uuid))}
        free = sorted(wanted - missing.keys())
        if free:
            others = self._store.take_devices(free)
            gone = [h.agent_id for h in others.values() if h is not None and self._is_gone(h)]
            if gone:
                others = self._store.take_devices(free, gone)
            missing |= {u: str(holder or "in use by another agent") for u, holder in others.items()}
            for uuid in others:
                self._unlock(uuid)
        missing |= dict.fromkeys(unused, "")
        return {
            place: next(missing[uuid] for uuid in given if uuid in missing)
            for place, given in self._uuids.items()
            if any(uuid in missing for uuid in given)
        }

    def _is_gone(self, holder: DeviceHolder) -> bool:
        """Return whether the holder was a process of this boot: its lock is ours by now."""
        return holder.boot == self._boot and not processes.exists(holder.pid)

    def close(self) -> None:
        """Release the locks; the rows go when the agent signs off."""
        for uuid in list(self._locks):
            self._unlock(uuid)

    def _give(self, uuids: set[str]) -> None:
        held = sorted(uuids & self._locks.keys())
        if held:
            self._store.give_devices(held)
            for uuid in held:
                self._unlock(uuid)

    def _lock(self, uuid: str) -> str:
        """Lock a GPU on this machine; return who has it, or nothing once it is ours."""
        if uuid in self._locks:
            return ""
        path = self._folder / f"{_UNSAFE.sub('_', uuid)}.lock"
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(path, flags, 0o600)
        except OSError as error:
            return f"its lock {path} cannot be opened: {error.strerror}"
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pid = os.read(descriptor, 20).decode("ascii", "replace").strip()
            os.close(descriptor)
            return f"in use by another agent of this machine (pid {pid or 'unknown'})"
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        self._locks[uuid] = descriptor
        return ""

    def _unlock(self, uuid: str) -> None:
        descriptor = self._locks.pop(uuid, None)
        if descriptor is not None:
            with suppress(OSError):
                os.close(descriptor)
