"""The limits of a study, and the used part of each."""

from collections.abc import Sequence
from dataclasses import dataclass

from tuner.results.summary import StudySummary
from tuner.study.limits import limit_name, reached_limits


@dataclass(frozen=True, kw_only=True)
class LimitUse:
    key: str  # as in `Limits`; "draws": the cells of a grid
    name: str  # for people
    used: float | None  # in the unit of the limit; of a target the best value, None without one
    limit: float
    is_reached: bool
    part: float | None  # used, from 0 to 1; None for a target

    @property
    def left(self) -> float | None:
        """Return how much may still be used; None for a target."""
        return None if self.part is None or self.used is None else max(0.0, self.limit - self.used)


def find_limits(summary: StudySummary) -> Sequence[LimitUse]:
    study, used = summary.study, summary.used
    limits = study.limits
    given = [
        ("trials", used.trials, limits.trials),
        ("draws", study.next_draw, study.n_draws),
        ("steps", used.steps, limits.steps),
        ("seconds", used.seconds, limits.seconds),
        ("device_seconds", used.device_seconds, limits.device_seconds),
    ]
    found = [
        LimitUse(
            key=key,
            name=limit_name(key, summary.step_noun),
            used=amount,
            limit=limit,
            is_reached=amount >= limit,
            part=min(1.0, amount / limit) if limit else 1.0,
        )
        for key, amount, limit in given
        if limit is not None
    ]
    if limits.target is not None:
        found.append(
            LimitUse(
                key="target",
                name=limit_name("target", summary.step_noun),
                used=used.best,
                limit=limits.target,
                is_reached="target" in reached_limits(limits, used, study.direction),
                part=None,
            )
        )
    return found
