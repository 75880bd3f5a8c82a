"""`tuner predict DIR FILE`."""

import argparse
import sys
from pathlib import Path

from tuner.cli.text.as_json import render_json
from tuner.cli.text.words import count, one_line


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
        text = predicted.csv()
    if options.output is None:
        sys.stdout.write(text)
        return 0
    path = Path(options.output)
    write_whole(path, text)
    print(f"{one_line(str(path))}: {count(len(predicted.rows), 'prediction')}", file=sys.stderr)
    return 0
