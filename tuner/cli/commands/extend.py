"""`tuner extend STUDY`."""

import argparse
from dataclasses import asdict

from tuner.cli.studies import open_study
from tuner.cli.text.as_json import render_json
from tuner.cli.text.control import render_extended
from tuner.errors import UsageError
from tuner.study.control import Amount, Extension

_OPTIONS = {
    "trials": "trials",
    "steps": "epochs",
    "seconds": "time",
    "device_seconds": "gpu_hours",
    "target": "target",
}


def execute(options: argparse.Namespace) -> int:
    amounts = {
        field: Amount(value=given[0], is_more=given[1])
        for field, option in _OPTIONS.items()
        if (given := getattr(options, option)) is not None
    }
    if not amounts:
        raise UsageError(
            "tuner extend needs a limit: --trials, --epochs, --time, --gpu-hours or --target"
        )
    with open_study(options.storage, options.study) as study:
        extended = study.control.extend(Extension(**amounts))
    if options.json:
        print(render_json({"study": options.study, **asdict(extended)}))
    else:
        noun, needs_file = study.spec.step_noun, study.spec.needs_study_file
        print(render_extended(options.study, extended, noun, needs_study_file=needs_file))
    return 0
