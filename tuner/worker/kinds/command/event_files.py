"""Reports in TensorBoard's event files, read by TensorBoard itself (the extra `tensorboard`)."""

import logging
import os
import re
from collections.abc import Callable, Iterator
from time import monotonic, time
from typing import Any

from tuner.study.trial import MAX_NAME
from tuner.study_file.kinds.command.report import Report
from tuner.trial.ends import Mistake
from tuner.worker.kinds.command.step_reports import StepReport, shifted_step

_LOOK_SECONDS = 1.0  # between two looks at the folder


class EventSource:
    """The scalars of a folder of event files; a tag such as `val/loss` is the metric val_loss."""

    def __init__(
        self,
        location: str,
        report: Report,
        metric: str,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.where = f"the event files in {location}"
        self._report, self._metric, self._clock = report, metric, clock
        self._location, self._events = location, _open_events(location)
        # Leftovers of an earlier attempt are older than this; a writer may also purge old events.
        self._last = (time(), 0)  # time and step of the last event that was reported
        self._looked_at = -_LOOK_SECONDS

    def read_line(self, line: str) -> Iterator[StepReport]:
        return iter(())

    def poll(self, *, is_last: bool = False) -> Iterator[StepReport]:
        """Yield a report for each new value of the metric, with the other scalars of its step."""
        if not is_last and self._clock() - self._looked_at < _LOOK_SECONDS:
            return
        self._looked_at = self._clock()
        if not os.path.isdir(self._location):
            return
        self._events.Reload()
        scalars = {
            _name_of(tag): self._events.Scalars(tag) for tag in self._events.Tags()["scalars"]
        }
        others = {
            name: {event.step: float(event.value) for event in events}
            for name, events in scalars.items()
            if name != self._metric and len(name) <= MAX_NAME
        }
        for event in scalars.get(self._metric, ()):
            if (event.wall_time, event.step) <= self._last:
                continue
            self._last = (event.wall_time, event.step)
            found = {
                name: steps[event.step] for name, steps in others.items() if event.step in steps
            }
            step = shifted_step(event.step, self._report.first_step)
            yield StepReport(step=step, values={self._metric: float(event.value), **found})


def _name_of(tag: str) -> str:
    return re.sub(r"\W", "_", tag)


def _open_events(location: str) -> Any:
    try:
        from tensorboard.backend.event_processing import (  # noqa: PLC0415 - an extra
            event_accumulator,
        )
    except ImportError as error:
        raise Mistake(
            "`report: {tensorboard: ...}` needs TensorBoard on this machine; pip install "
            "'tuner[tensorboard]'"
        ) from error
    logging.getLogger("tensorboard").setLevel(logging.ERROR)
    return event_accumulator.EventAccumulator(location, size_guidance={"scalars": 0})
