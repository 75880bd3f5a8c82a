"""The heartbeat thread: it sends heartbeats and receives those of other agents."""

import queue
import time
from collections.abc import Callable

from tuner.agent.events import Event, PulseHeard, StoreBack, away, report_failures
from tuner.agent.observing import Observer
from tuner.agent.occupancy import Occupancy
from tuner.agent.port import Store
from tuner.errors import DatabaseAway
from tuner.helper_thread import HelperThread
from tuner.study.agents import Telemetry

BEATS_PER_LEASE = 6
MAX_SECONDS = 2.0  # maximum delay of commands such as `tuner stop`


class BeatThread(HelperThread):
    """Sends heartbeats several times per lease time on a connection of its own."""

    def __init__(
        self,
        store: Store,
        observer: Observer,
        telemetry: Callable[[], Telemetry],
        inbox: "queue.SimpleQueue[Event]",
        lease_seconds: float,
        occupancy: Occupancy | None = None,
    ) -> None:
        super().__init__("beats", report_failures(inbox))
        self._store = store
        self._observer = observer
        self._telemetry = telemetry
        self._occupancy = occupancy
        self._inbox = inbox
        self._interval_seconds = min(MAX_SECONDS, lease_seconds / BEATS_PER_LEASE)
        self._is_away = False

    def work(self) -> float:
        """Send a heartbeat; return the seconds until the next one."""
        telemetry = self._telemetry()
        unavailable = {}
        try:
            pulse = self._store.beat(telemetry)
            if self._occupancy is not None:
                unavailable = self._occupancy.renew(telemetry.given_up)
        except DatabaseAway as error:  # the observer sees the gap
            self._is_away = True
            self._inbox.put(away(error, self.name))
            return self._interval_seconds
        if self._is_away:
            self._is_away = False
            self._inbox.put(StoreBack(helper=self.name))
        silent = self._observer.note(pulse.others, time.monotonic())
        self._inbox.put(PulseHeard(silent=silent, pulse=pulse, unavailable=unavailable))
        if pulse.seconds_left is not None and pulse.seconds_left > 0:
            return min(self._interval_seconds, pulse.seconds_left + 0.01)
        return self._interval_seconds
