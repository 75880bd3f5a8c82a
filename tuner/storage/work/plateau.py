"""The end of a study whose remaining budget is unlikely to help (`budget: {stop: plateau}`)."""

from time import monotonic
from uuid import UUID

from tuner.storage.connections.sessions import Session
from tuner.study.limits import Limits, Used
from tuner.study.outlook import N_LATEST, expect_complete, find_outlook
from tuner.study.trial import Direction

CHECK_SECONDS = 5.0


class PlateauCheck:
    """Estimates the outlook of a study now and then."""

    def __init__(self, *, study_id: int, me: UUID, direction: Direction) -> None:
        self._study_id = study_id
        self._me = me
        self._direction = direction
        self._not_before = 0.0

    def stop(self, session: Session) -> str | None:
        """Ask the study to stop if more trials are unlikely to help; return the reason then."""
        if monotonic() < self._not_before:
            return None
        self._not_before = monotonic() + CHECK_SECONDS
        own = {"study_id": self._study_id}
        rows = session.rows("agent", "limits", own)
        if not rows:
            return None  # the study was deleted
        trials, steps, seconds, device_seconds, n_claimed = rows[0]
        limits = Limits(trials=trials, steps=steps, seconds=seconds, device_seconds=device_seconds)
        is_low = self._direction is Direction.MINIMIZE
        (row,) = session.rows("control", "used", {**own, "minimize": is_low})
        used = Used(
            trials=n_claimed, steps=int(row[2]), seconds=row[3], device_seconds=row[4], best=row[5]
        )
        ((values, n_complete),) = session.rows("control", "last_values", {**own, "n": N_LATEST})
        n_left = expect_complete(n_complete, limits, used)
        if n_left is None:
            return None
        outlook = find_outlook(values, self._direction, n_left, noise=None)
        if outlook is None or not outlook.is_unlikely:
            return None
        about = {
            **own,
            "me": self._me,
            "reason": f"plateau: {outlook.sentence}",
            "trials": trials,
            "steps": steps,
            "seconds": seconds,
            "device_seconds": device_seconds,
        }
        is_first = bool(session.rows("agent", "reach_plateau", about))
        return f"plateau: {outlook.sentence}" if is_first else None
