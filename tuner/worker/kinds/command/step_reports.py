"""A report of a program: its step and its metrics, read from text or JSON."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from tuner.study.trial import MAX_NAME
from tuner.study_file.kinds.command.report import Report
from tuner.trial.ends import Mistake
from tuner.trial.trial import MAX_STEP
from tuner.worker.programs.output import MAX_LINE

_MAX_METRICS = 100


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """The metrics of one step."""

    step: int | None  # None: the one after the last
    values: Mapping[str, float]


class ReportSource(Protocol):
    """A place from which reports are read; raises `Mistake` for one that breaks the rules."""

    def read_line(self, line: str) -> Iterator[StepReport]:
        """Yield the reports in a line of the program's output."""

    def poll(self, *, is_last: bool = False) -> Iterator[StepReport]:
        """Yield the new reports; `is_last`: the program has ended."""

    @property
    def where(self) -> str:
        """Return the place, for messages."""


def parse_object(text: str, place: str) -> dict[str, Any]:
    try:
        record = json.loads(text[:MAX_LINE])
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        raise Mistake(f"{place} is no JSON object: {shown(text)}")
    return record


def report_of_object(
    record: Mapping[str, Any], step_name: str, first_step: int, metric: str = ""
) -> StepReport:
    """Return the report in a JSON object; texts in it are ignored, except for the metric."""
    given = record.get(step_name)
    step = None if given is None else shifted_step(given, first_step)
    numbers = {str(name): _json_number(value) for name, value in record.items()}
    if metric and numbers.get(metric) is None:
        raise Mistake(no_number(metric, record[metric], "the report"))
    return StepReport(step=step, values=metrics_of(numbers, step_name))


def metrics_of(numbers: Mapping[str, float | None], step_name: str) -> dict[str, float]:
    reserved = (step_name, "step", "self", "")
    found = {
        name: value
        for name, value in numbers.items()
        if value is not None and name not in reserved and len(name) <= MAX_NAME
    }
    return dict(list(found.items())[:_MAX_METRICS])


def _json_number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return _as_float(value)


def _as_float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def number_of(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def number_in_line(name: str, text: str, line: str) -> float:
    number = number_of(text.rstrip(",;"))
    if number is None:
        raise Mistake(no_number(name, text, f"the line {shown(line)}"))
    return number


def no_number(name: str, value: object, place: str) -> str:
    return f"{name} is {shown(str(value))} in {place}, which is no number"


def step_of(text: str, report: Report) -> int:
    number = number_of(text)
    if number is None:
        raise Mistake(f"the step is {shown(text)}, which is no whole number")
    return shifted_step(number, report.first_step)


def shifted_step(value: Any, first_step: int) -> int:
    """Return the step counted from 1."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    is_whole = is_number and (isinstance(value, int) or value.is_integer())
    if not is_whole or abs(value) > MAX_STEP:
        raise Mistake(f"the step is {shown(str(value)[:120])}, which is no whole number")
    step = int(value) + 1 - first_step
    if step < 1:
        hint = "; a program that counts from 0 needs `first_step: 0` in `report:`"
        raise Mistake(f"the step is {int(value)}, and steps count from {first_step}{hint}")
    return step


def shown(text: str) -> str:
    return repr(text.strip()[:120])
