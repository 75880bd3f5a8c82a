"""`tuner confirm STUDY`."""

import argparse
import sys
from pathlib import Path

from tuner.cli.commands.run import CUT_OFF, choose_view, exit_code
from tuner.cli.database import open_existing
from tuner.cli.screen.views import PlainView, QueuedView
from tuner.cli.text.as_json import render_json
from tuner.cli.text.confirmation import confirmation_json, render_confirmation
from tuner.cli.text.words import terminal_width, wrap
from tuner.confirm_study import Confirmed, confirm
from tuner.errors import NotFound
from tuner.export.linked_study import ConfirmPlan
from tuner.results.confirmation import Confirmation, load_confirmation
from tuner.run_study import RunOptions
from tuner.storage.connections.connection import storage_setting
from tuner.study.command_line import study_command


def execute(options: argparse.Namespace) -> int:
    """Train the best params again, or only show the results."""
    if options.show:
        _print(options, _load(options))
        return 0
    done = _confirm(options)
    if done.confirmation is None:
        print(CUT_OFF, file=sys.stderr)
    else:
        _print(options, done.confirmation)
    return exit_code(done.outcome)


def _load(options: argparse.Namespace) -> Confirmation:
    with open_existing(options.storage) as database:
        found = load_confirmation(database, options.name or options.study)
    if found is None:
        raise NotFound(
            f"study {options.study!r} is not confirmed; "
            f"{study_command('confirm', options.study)} does it"
        )
    return found


def _confirm(options: argparse.Namespace) -> Confirmed:
    is_plain = options.json and options.log_format is None
    view = QueuedView(PlainView() if is_plain else choose_view(options))
    try:
        return confirm(
            options.study,
            ConfirmPlan(n_top=options.top, n_seeds=options.seeds, name=options.name),
            None if options.file is None else Path(options.file),
            RunOptions(storage=storage_setting(options.storage), workers=options.workers),
            view,
        )
    finally:
        view.close()


def _print(options: argparse.Namespace, confirmation: Confirmation) -> None:
    if options.json:
        print(render_json(confirmation_json(confirmation), indent=2))
    else:
        width = terminal_width(sys.stdout)
        print(wrap(render_confirmation(confirmation, width, options.file), width))
