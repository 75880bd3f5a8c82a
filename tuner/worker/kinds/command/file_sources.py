"""Reports in files that a program writes anyway: JSON lines and CSV."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

from tuner.study_file.kinds.command.report import Report
from tuner.study_file.text.faults import listed
from tuner.trial.ends import Mistake
from tuner.worker.kinds.command.followers import Followers, looks_of
from tuner.worker.kinds.command.step_reports import (
    StepReport,
    metrics_of,
    no_number,
    number_of,
    parse_object,
    report_of_object,
    shown,
    step_of,
)

_LARGE = 1 << 20  # bytes of a file that is not read again within a second
_LARGE_SECONDS = 1.0


class JsonSource:
    """A file to which the program adds a JSON object per step; `*` in its path is allowed."""

    def __init__(self, location: str, report: Report, metric: str) -> None:
        self.where = location
        self._report, self._metric = report, metric
        self._files = Followers(location)

    def read_line(self, line: str) -> Iterator[StepReport]:
        return iter(())

    def poll(self, *, is_last: bool = False) -> Iterator[StepReport]:
        for name, line in self._files.new_lines(is_last):
            record = parse_object(line, name)
            if record.get(self._metric) is None:
                continue  # an object of another kind, or a step without the metric
            name_of_step = self._report.step_name
            if name_of_step not in record:
                raise Mistake(
                    f"{name} has no {name_of_step} in {shown(line)}; write the name of the step "
                    "as `step:` in `report:`"
                )
            yield report_of_object(record, name_of_step, self._report.first_step, self._metric)


class CsvSource:
    """A CSV file with a head, to which the program adds rows; `*` in its path is allowed."""

    def __init__(self, location: str, report: Report, metric: str) -> None:
        self.where = location
        self._report, self._metric = report, metric
        self._location = location
        self._looks = looks_of(location)
        # Leftovers of an earlier attempt are not read, also if the program adds to them.
        self._before = {name: _text_of(name) for name in self._looks}
        self._n_read = {name: len(_rows_of(name, text)) for name, text in self._before.items()}
        self._read_at: dict[str, float] = {}

    def read_line(self, line: str) -> Iterator[StepReport]:
        return iter(())

    def poll(self, *, is_last: bool = False) -> Iterator[StepReport]:
        """Read files that have changed as a whole: some programs write them again at every row."""
        for name, look in looks_of(self._location).items():
            is_soon = monotonic() - self._read_at.get(name, 0.0) < _LARGE_SECONDS
            if self._looks.get(name) == look or (look[1] > _LARGE and is_soon and not is_last):
                continue
            self._looks[name], self._read_at[name] = look, monotonic()
            text = _text_of(name)
            if not text.startswith(self._before.get(name, "")):
                self._before[name], self._n_read[name] = "", 0  # it was begun again
            # The last row may be half written while the program runs.
            yield from self._new_rows(name, text if is_last else text[: text.rfind("\n") + 1])

    def _new_rows(self, name: str, text: str) -> Iterator[StepReport]:
        rows = _rows_of(name, text)
        n_before = self._n_read.get(name, 0)
        self._n_read[name] = max(n_before, len(rows))
        for row in rows[n_before:]:
            given = row.get(self._metric)
            if not given:
                continue  # a row of another kind; a column may also come later
            if number_of(given) is None:
                raise Mistake(no_number(self._metric, given, name))
            step_name = self._report.step_name
            if not row.get(step_name):
                raise Mistake(
                    f"{name} has no {step_name} next to {self._metric}; its columns are "
                    f"{listed([str(column) for column in row])}; write that of the step as "
                    "`step:` in `report:`"
                )
            numbers = {
                column: number_of(value)
                for column, value in row.items()
                if isinstance(column, str) and isinstance(value, str)
            }
            step = step_of(row[step_name], self._report)
            yield StepReport(step=step, values=metrics_of(numbers, step_name))


def _text_of(name: str) -> str:
    try:
        return Path(name).read_text(errors="replace")
    except OSError:
        return ""  # it is being replaced


def _rows_of(name: str, text: str) -> list[dict[str | Any, Any]]:
    try:
        return list(csv.DictReader(io.StringIO(text)))
    except csv.Error as error:
        raise Mistake(f"{name} cannot be read as CSV ({error})") from error
