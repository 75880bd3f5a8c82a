"""`tuner drain` and `tuner undrain`."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

from tuner.cli.database import open_existing
from tuner.cli.studies import open_study
from tuner.cli.text.as_json import render_json
from tuner.cli.text.control import render_drained, render_undrained, whoami
from tuner.cli.text.words import clean
from tuner.errors import NeedsConsent, UsageError
from tuner.storage.control.drains import Drains
from tuner.study.fleet import Drained


def execute(options: argparse.Namespace) -> int:
    """Run one of the two; `tuner drain` asks first if the last machine would stop."""
    if options.all_studies == (options.study is not None):
        raise UsageError("name a study and a machine, or a machine and --all-studies")
    with _opened(options) as drains:
        if options.command == "undrain":
            drained: Drained | None = drains.undrain(options.host, options.device, whoami())
        else:
            drained = _drain(drains, options)
    if drained is None:
        print("nothing was drained", file=sys.stderr)
        return 1
    render = render_undrained if options.command == "undrain" else render_drained
    shown = [drain.document() for drain in drained.drains]
    document = {"study": options.study, **asdict(drained), "drains": shown}
    print(render_json(document) if options.json else render(options.study, drained))
    return 0


@contextmanager
def _opened(options: argparse.Namespace) -> Iterator[Drains]:
    if options.study is None:
        with open_existing(options.storage) as database:
            yield Drains(database, None)
    else:
        with open_study(options.storage, options.study) as study:
            yield Drains(study.database, study.row.study_id)


def _drain(drains: Drains, options: argparse.Namespace) -> Drained | None:
    given = (options.host, options.device, whoami(), options.reason)
    try:
        return drains.drain(*given, is_sure=options.yes)
    except NeedsConsent as last:
        if not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
            raise UsageError(f"{last}; add --yes to drain it nevertheless") from None
        question = f"{clean(str(last))}; drain {clean(options.host)} nevertheless? [y/N] "
        print(question, end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            return None
        return drains.drain(*given, is_sure=True)
