"""`tuner db url`, `tuner db serve` and `tuner db upgrade`."""

import argparse
import json
import signal
import sys

from tuner.cli.database import open_named
from tuner.cli.json_text import render_json
from tuner.errors import UsageError
from tuner.storage.connection import render_url, storage_setting
from tuner.storage.migrations import read_schema


def execute(options: argparse.Namespace) -> int:
    """One of the three."""
    match options.command:
        case "url":
            return print_url(options)
        case "serve":
            return serve(options)
        case _:
            return upgrade(options)


def print_url(options: argparse.Namespace) -> int:
    """Where the studies live, without a password; starts the embedded server for a moment."""
    named = storage_setting(options.storage)
    if named is not None:
        text = render_url(named)
    else:
        with open_named(None) as database:
            text = render_url(database.engine.url)
        print("it answers while a study runs here, or `tuner db serve`", file=sys.stderr)
    print(json.dumps({"url": text}) if options.json else text)
    return 0


def serve(options: argparse.Namespace) -> int:
    """Hold the embedded server until a signal comes."""
    if storage_setting(options.storage) is not None:
        raise UsageError(
            "tuner db serve keeps the embedded server up; leave out --storage and TUNER_STORAGE"
        )
    with open_named(None) as database:
        # Blocked only now: the server's processes inherit the mask.
        signals = {signal.SIGINT, signal.SIGTERM}
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        url = render_url(database.engine.url)
        print(json.dumps({"url": url}) if options.json else url, flush=True)
        print("serving until Ctrl-C", file=sys.stderr, flush=True)
        signal.sigwait(signals)
    return 0


def upgrade(options: argparse.Namespace) -> int:
    """Opening a database as its owner migrates it."""
    with open_named(options.storage) as database:
        revision, version = read_schema(database)
    found = {"optuna": revision, "tuner": version}
    text = f"the schema is up to date: Optuna {revision}, tuner {version}"
    print(render_json(found) if options.json else text)
    return 0
