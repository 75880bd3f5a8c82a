"""The source of a program's reports, by the study file's `report:`."""

from pathlib import Path

from tuner.study_file.kinds.command.report import Report
from tuner.worker.kinds.command.event_files import EventSource
from tuner.worker.kinds.command.file_sources import CsvSource, JsonSource
from tuner.worker.kinds.command.line_sources import LineSource, PatternSource
from tuner.worker.kinds.command.step_reports import ReportSource


def open_source(report: Report | None, location: str, metric: str, reports: Path) -> ReportSource:
    """Return the source of a program's reports; `location` is a path with its placeholders filled.

    `reports` is the file of `tuner.report`.
    """
    if report is None:
        return LineSource(reports)
    match report.source:
        case "pattern":
            return PatternSource(report, metric)
        case "jsonl":
            return JsonSource(location, report, metric)
        case "csv":
            return CsvSource(location, report, metric)
        case _:
            return EventSource(location, report, metric)
