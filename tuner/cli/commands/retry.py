"""`tuner retry STUDY`."""

import argparse
from dataclasses import asdict

from tuner.cli.studies import open_study
from tuner.cli.text.as_json import render_json
from tuner.cli.text.control import render_enqueued
from tuner.errors import UsageError


def execute(options: argparse.Namespace) -> int:
    """Add trials with the params of failed ones."""
    if bool(options.numbers) == options.failed:
        raise UsageError("tuner retry needs the numbers of FAIL trials, or --failed for all")
    with open_study(options.storage, options.study) as study:
        enqueued = study.control.retry(options.numbers or None)
    if options.json:
        print(render_json({"study": options.study, **asdict(enqueued)}))
    else:
        needs_file = study.spec.needs_study_file
        print(render_enqueued(options.study, enqueued, needs_study_file=needs_file))
    return 0
