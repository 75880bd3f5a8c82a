"""`tuner status STUDY --watch`."""

import argparse
import sys
import time
from functools import partial

from tuner.cli.database import open_existing
from tuner.cli.screen.live import Screen
from tuner.cli.screen.reader import LiveReader, Trouble, pause_seconds
from tuner.cli.terminal import has_screen
from tuner.cli.text.status import render_status
from tuner.cli.text.words import terminal_width, wrap
from tuner.errors import DatabaseAway, NotFound
from tuner.results.progress import is_finished
from tuner.results.summary import StudySummary, load_summary
from tuner.storage.connections.connection import Database

_FOOTER = "Ctrl-C leaves this screen; the study continues"
_LOOK_SECONDS = 0.1


def watch(options: argparse.Namespace) -> int:
    """Watch until the study ends or Ctrl-C; without a terminal, print a page after each read."""
    with open_existing(options.storage) as database:
        summary = load_summary(database, options.study)  # an unknown study is refused at once
        if is_finished(summary):
            _print(summary)
            return 0
        try:
            if has_screen(sys.stderr):
                _draw(options)
            else:
                _print_pages(database, options, summary)
        except KeyboardInterrupt:
            pass  # the way to leave
        _print(load_summary(database, options.study))
    return 0


def _print_pages(database: Database, options: argparse.Namespace, summary: StudySummary) -> None:
    """Print a page after each read, until the study ends; none while the database is away."""
    trouble = Trouble()
    pause = options.every
    _print(summary)
    while not is_finished(summary):
        time.sleep(pause)
        began = time.monotonic()
        try:
            summary = load_summary(database, options.study)
        except DatabaseAway as error:
            trouble.show(error)
        else:
            if not is_finished(summary):
                _print(summary)
        pause = pause_seconds(options.every, time.monotonic() - began)


def _draw(options: argparse.Namespace) -> None:
    opened = partial(open_existing, options.storage, is_told=False)
    reader = LiveReader(opened, options.study, options.every)
    screen = Screen(reader, _FOOTER)
    screen.start()
    try:
        while not (reader.look.study and is_finished(reader.look.study.summary)):
            if reader.look.is_gone:
                raise NotFound(f"study {options.study!r} was deleted")
            time.sleep(_LOOK_SECONDS)
    finally:
        screen.stop()


def _print(summary: StudySummary) -> None:
    page = render_status(summary)
    print(wrap(page, terminal_width(sys.stdout)) + "\n", flush=True)
