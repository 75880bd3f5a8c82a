"""Checks at regular steps."""

from tuner.study.schedule import ENDLESS, Schedule


def strided_schedule(n_warmup_steps: int, interval_steps: int, n_steps: int | None) -> Schedule:
    """Return checks from the end of the warm-up on, below `n_steps`."""
    end = ENDLESS if n_steps is None else n_steps
    run = range(max(1, n_warmup_steps), end, interval_steps)
    return Schedule(runs=(run,) if run else ())
