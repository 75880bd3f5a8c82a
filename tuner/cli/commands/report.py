"""`tuner report STUDY`."""

import argparse
from pathlib import Path

from tuner.cli.database import open_existing
from tuner.cli.streams import print_data
from tuner.cli.text.as_json import render_json
from tuner.cli.text.words import clean, count
from tuner.errors import UsageError
from tuner.export.files import write_whole
from tuner.export.report import build_report


def execute(options: argparse.Namespace) -> int:
    """Write one file that opens from a mail attachment."""
    if options.output == "-" and options.json:
        raise UsageError("-o - prints the page itself; --json needs a file")
    with open_existing(options.storage) as database:
        report = build_report(database, options.study)
    if options.output == "-":
        print_data(report.html)
        return 0
    path = Path(options.output or f"{report.name}.html")
    write_whole(path, report.html)
    size = len(report.html.encode())
    if options.json:
        told = {"study": report.name, "file": str(path), "bytes": size, "trials": report.n_trials}
        print(render_json(told))
    else:
        print(clean(f"{path}: {count(report.n_trials, 'trial')}, {size / 1e6:.1f} MB"))
    return 0
