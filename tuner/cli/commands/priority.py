"""`tuner priority STUDY N`."""

import argparse

from tuner.cli.studies import open_study
from tuner.cli.text.as_json import render_json
from tuner.cli.text.control import whoami


def execute(options: argparse.Namespace) -> int:
    with open_study(options.storage, options.study) as study:
        before = study.control.prioritize(options.priority, whoami())
    if options.json:
        document = {"study": options.study, "before": before, "priority": options.priority}
        print(render_json(document))
    elif before == options.priority:
        print(f"{options.study}: its priority is {before} already")
    else:
        print(f"{options.study}: priority {before} -> {options.priority}")
        print("next: each tuner agent gives its devices accordingly within seconds")
    return 0
