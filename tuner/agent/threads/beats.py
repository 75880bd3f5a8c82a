"""The beat thread: says "alive" whatever the workers do, and hears of the others."""

import queue
import threading
import time
from collections.abc import Callable

from tuner.agent.events import Event, HelperFailed, PulseHeard, StoreBack, away
from tuner.agent.observing import Observer
from tuner.agent.port import Store
from tuner.errors import DatabaseAway, RunFailed, TunerError
from tuner.study.agents import Telemetry

BEATS_PER_LEASE = 6
MOST_SECONDS = 2.0  # within which the fleet heeds `tuner stop` and its like


class BeatThread(threading.Thread):
    """Beats several times per lease time on a connection of its own."""

    def __init__(
        self,
        store: Store,
        observer: Observer,
        telemetry: Callable[[], Telemetry],
        inbox: "queue.SimpleQueue[Event]",
        lease_seconds: float,
    ) -> None:
        super().__init__(name="beats", daemon=True)
        self._store = store
        self._observer = observer
        self._telemetry = telemetry
        self._inbox = inbox
        self._interval_seconds = min(MOST_SECONDS, lease_seconds / BEATS_PER_LEASE)
        self._stopped = threading.Event()

    def run(self) -> None:
        is_away = False
        while not self._stopped.is_set():
            pause_seconds = self._interval_seconds
            try:
                pulse = self._store.beat(self._telemetry())
                if is_away:
                    is_away = False
                    self._inbox.put(StoreBack(helper=self.name))
                silent = self._observer.note(pulse.others, time.monotonic())
                self._inbox.put(PulseHeard(silent=silent, pulse=pulse))
                if pulse.seconds_left is not None and pulse.seconds_left > 0:
                    pause_seconds = min(pause_seconds, pulse.seconds_left + 0.01)
            except DatabaseAway as error:  # the observer sees the gap
                is_away = True
                self._inbox.put(away(error, self.name))
            except TunerError as error:
                self._inbox.put(HelperFailed(error=error))
                return
            except Exception as error:
                failed = RunFailed(f"the beat thread failed: {type(error).__name__}: {error}")
                failed.__cause__ = error
                self._inbox.put(HelperFailed(error=failed))
                return
            self._stopped.wait(pause_seconds)

    def stop(self) -> None:
        """Beat no more."""
        self._stopped.set()
