"""`tuner stop`, `tuner pause` and `tuner resume`."""

import argparse
from dataclasses import asdict

from tuner.cli.studies import open_study
from tuner.cli.text.as_json import render_json
from tuner.cli.text.control import render_pause, render_resume, render_stop, whoami


def execute(options: argparse.Namespace) -> int:
    """Run one of the three; a repeated command is no error."""
    with open_study(options.storage, options.study) as study:
        match options.command:
            case "stop":
                steered = study.control.stop(whoami(), options.reason)
                text = render_stop(options.study, steered)
            case "pause":
                steered = study.control.pause(whoami(), options.reason)
                text = render_pause(options.study, steered)
            case _:
                steered = study.control.resume(whoami())
                text = render_resume(
                    options.study, steered, needs_study_file=study.spec.needs_study_file
                )
    print(render_json({"study": options.study, **asdict(steered)}) if options.json else text)
    return 0
