"""Use of the limits that are checked with every heartbeat."""

from dataclasses import dataclass

from tuner.study_file.text.durations import render_duration


@dataclass(frozen=True)
class Usage:
    """Time and device time of a study, with their limits (None: no such limit)."""

    limit_seconds: float | None
    limit_device_seconds: float | None
    seconds: float  # in which an agent lived and the study was not paused
    device_seconds: float | None  # summed only where it is limited

    def exceeded(self) -> str | None:
        """Return the limit that is used up, in words."""
        if self.limit_seconds is not None and self.seconds >= self.limit_seconds:
            return f"the budget's time of {render_duration(self.limit_seconds)} is used up"
        limit, used = self.limit_device_seconds, self.device_seconds
        if limit is not None and used is not None and used >= limit:
            return f"the budget of {limit / 3600:g} h of device time is used up"
        return None

    def seconds_left(self) -> float | None:
        """Return the time left; None without a limit."""
        return None if self.limit_seconds is None else self.limit_seconds - self.seconds
