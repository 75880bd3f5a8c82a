"""`tuner delete STUDY`."""

import argparse
import sys
from pathlib import Path

from tuner.cli.studies import open_study
from tuner.cli.text.as_json import render_json
from tuner.cli.text.words import clean, count
from tuner.errors import UsageError
from tuner.results.summary import load_summary
from tuner.storage.objects.own import find_objects, open_store_of
from tuner.study.command_line import study_command


def execute(options: argparse.Namespace) -> int:
    """Delete the study with all its trials after a confirmation."""
    store = None if options.file is None else open_store_of(Path(options.file))
    with open_study(options.storage, options.study) as study:
        objects = find_objects(study.database, study.row.study_id)
        summary = load_summary(study.database, options.study)
        n_trials = sum(row.n_trials for row in summary.counts.values())
        if not options.yes and not _is_sure(options.study, n_trials):
            print("nothing was deleted", file=sys.stderr)
            return 1
        study.control.delete(force=options.force)
    if store is not None:
        store.remove_below(objects.prefix)
    elif objects.n_objects:
        kept = f"its checkpoints stay in their store, below {objects.prefix}"
        how = "delete them there; tuner delete does it if --file names the study file"
        print(f"{kept}; {how}", file=sys.stderr)
    if options.json:
        print(render_json({"study": options.study, "deleted": True, "trials": n_trials}))
    else:
        print(f"deleted {options.study} with {count(n_trials, 'trial')}")
        print("next: tuner status lists the other studies")
    return 0


def _is_sure(name: str, n_trials: int) -> bool:
    """Ask on a terminal; raises `UsageError` if there is none."""
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
        command = study_command("delete", name, "--yes")
        raise UsageError(f"without a terminal tuner cannot ask; run {command}")
    question = f"delete {clean(name)} with {count(n_trials, 'trial')} irrevocably? [y/N] "
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
