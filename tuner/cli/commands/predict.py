"""`tuner predict DIR FILE`."""

import argparse
import csv
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tuner.cli.text.as_json import render_json
from tuner.cli.text.spreadsheet import csv_cell
from tuner.cli.text.words import count, one_line

if TYPE_CHECKING:
    from tuner.export.prediction import Predicted


def render_csv(predicted: "Predicted") -> str:
    """Render one line a row; no spreadsheet takes a class for a formula."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(csv_cell, predicted.header))
    for row in predicted.rows:
        writer.writerow(map(csv_cell, row))
    return text.getvalue()


def execute(options: argparse.Namespace) -> int:
    """Predict the rows of a file."""
    from tuner.export.files import write_whole  # noqa: PLC0415 - loads torch
    from tuner.export.prediction import predict_file  # noqa: PLC0415 - loads torch

    form = {name: getattr(options, name) for name in ("delimiter", "encoding", "decimal")}
    predicted = predict_file(
        Path(options.model), Path(options.file), form=form, is_lenient=options.lenient
    )
    if options.json:
        lines = [dict(zip(predicted.header, row, strict=True)) for row in predicted.rows]
        text = f"{render_json(lines, indent=2)}\n"
    else:
        text = render_csv(predicted)
    if options.output is None:
        sys.stdout.write(text)
        return 0
    path = Path(options.output)
    write_whole(path, text)
    print(f"{one_line(str(path))}: {count(len(predicted.rows), 'prediction')}", file=sys.stderr)
    return 0
