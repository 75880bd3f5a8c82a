"""Reports in the lines of a program's output."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tuner.study_file.kinds.command.report import COUNT, Report, compile_pattern
from tuner.worker.kinds.command.followers import Follower
from tuner.worker.kinds.command.step_reports import (
    StepReport,
    number_in_line,
    parse_object,
    report_of_object,
    step_of,
)

MARK = "tuner:"  # in front of a report in a program's output


class PatternSource:
    """Lines of output in which a pattern finds the step and the metrics."""

    def __init__(self, report: Report, metric: str) -> None:
        self._report, self._metric = report, metric
        self._search: Callable[[str], Any] = compile_pattern(report.location).search
        self.where = f"lines in which the pattern {report.location} finds all of its groups"

    def read_line(self, line: str) -> Iterator[StepReport]:
        found = self._search(line)
        if found is None:
            return
        groups = {name: text for name, text in found.groupdict().items() if text is not None}
        step = groups.pop("step", None)
        if step is None and self._report.step != COUNT:
            return  # an optional group that did not match
        if self._metric not in groups:
            return
        values = {name: number_in_line(name, text, line) for name, text in groups.items()}
        at = None if step is None else step_of(step, self._report)
        yield StepReport(step=at, values=values)

    def poll(self, *, is_last: bool = False) -> Iterator[StepReport]:
        return iter(())


class LineSource:
    """Lines `tuner: {"step": 3, "val_loss": 0.4}` of the output, and calls of `tuner.report`."""

    where = 'lines such as tuner: {"step": 1, "val_loss": 0.5}, or calls of tuner.report'

    def __init__(self, reports: Path) -> None:
        self._file = Follower(reports)

    def read_line(self, line: str) -> Iterator[StepReport]:
        text = line.strip()
        if text.startswith(MARK) and text[len(MARK) :].lstrip().startswith("{"):
            yield report_of_object(parse_object(text[len(MARK) :], "a line of output"), "step", 1)

    def poll(self, *, is_last: bool = False) -> Iterator[StepReport]:
        for line in self._file.new_lines(is_last):
            yield report_of_object(parse_object(line, "a call of tuner.report"), "step", 1)
