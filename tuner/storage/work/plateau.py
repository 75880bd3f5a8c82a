"""The end of a study whose remaining budget is unlikely to help (`budget: {stop: plateau}`)."""

from time import monotonic

from tuner.storage.connections.sessions import Session
from tuner.study.limits import Limits, Used, reached_limits
from tuner.study.outlook import N_LATEST, find_outlook
from tuner.study.trial import Direction

CHECK_SECONDS = 5.0


class PlateauCheck:
    """Estimates the outlook of a study now and then."""

    def __init__(self, *, study_id: int, direction: Direction) -> None:
        self._study_id = study_id
        self._direction = direction
        self._not_before = 0.0

    def find(self, session: Session, limits: Limits) -> str | None:
        """Return why the study should stop, if more trials are unlikely to help.

        A study whose last trials are in training ends by itself.
        """
        if monotonic() < self._not_before:
            return None
        self._not_before = monotonic() + CHECK_SECONDS
        own = {"study_id": self._study_id}
        rows = session.rows("agent", "claimed", own)
        if not rows:
            return None  # the study was deleted
        ((n_claimed, n_open),) = rows
        is_low = self._direction is Direction.MINIMIZE
        ((*_, steps, seconds, device_seconds, best),) = session.rows(
            "control", "used", {**own, "minimize": is_low}
        )
        used = Used(
            trials=n_claimed,
            steps=int(steps),
            seconds=seconds,
            device_seconds=device_seconds,
            best=best,
        )
        if reached_limits(limits, used, self._direction):
            return None
        ((values, n_complete),) = session.rows("control", "last_values", {**own, "n": N_LATEST})
        outlook = find_outlook(
            values,
            n_complete=n_complete,
            n_open=n_open,
            limits=limits,
            used=used,
            direction=self._direction,
        )
        if outlook is None or not outlook.is_unlikely:
            return None
        return f"plateau: {outlook.sentence}"
