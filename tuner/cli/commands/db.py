"""`tuner db url`, `tuner db serve` and `tuner db upgrade`."""

import argparse
import json
import signal
import sys
from dataclasses import replace

from tuner.cli.database import open_named
from tuner.cli.text.as_json import render_json
from tuner.errors import DatabaseAway, TunerError, UsageError
from tuner.signals import stop_signals
from tuner.storage.connections.connection import Database, render_url, storage_setting
from tuner.storage.embedded.home import open_home
from tuner.storage.embedded.listening import Listen, make_fleet_role
from tuner.storage.opening import open_database
from tuner.storage.schema.migrations import migrate, read_schema

LOOK_SECONDS = 2.0  # between looks whether the server lives


def execute(options: argparse.Namespace) -> int:
    match options.command:
        case "url":
            return print_url(options)
        case "serve":
            return serve(options)
        case _:
            return upgrade(options)


def print_url(options: argparse.Namespace) -> int:
    """Print the URL of the studies without a password; starts the embedded server for a moment."""
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
    listen = Listen(address=options.listen[0], port=options.listen[1]) if options.listen else None
    with open_database(None, listen) as database:
        migrate(database)
        # Blocked only now: the server's processes inherit the mask.
        signals = set(stop_signals())
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        served = {"url": render_url(database.engine.url)}
        if listen is not None:
            password_file = make_fleet_role(database, open_home())
            served |= {"remote_url": listen.url, "password_file": str(password_file)}
            print(_FOR_OTHERS.format(**served), file=sys.stderr)
        url = served.get("remote_url", served["url"])
        print(json.dumps(served) if options.json else url, flush=True)
        print("serving until Ctrl-C", file=sys.stderr, flush=True)
        said = ""
        while signal.sigtimedwait(signals, LOOK_SECONDS) is None:
            trouble = _keep_up(database, signals)
            if trouble and trouble != said:
                print(trouble, file=sys.stderr, flush=True)
            said = trouble
    return 0


def _keep_up(database: Database, signals: set[signal.Signals]) -> str:
    """Start the server again if it has died; return the problem, empty without one.

    Its processes must not inherit this process's signal mask.
    """
    try:
        replace(database, revive=None).open_raw().close()
        return ""
    except DatabaseAway as error:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
        try:
            assert database.revive is not None
            database.revive()
        except TunerError as refused:
            return f"the server does not answer and cannot be started: {refused}"
        finally:
            signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        return f"the server did not answer and was started again, or answers again ({error})"


_FOR_OTHERS = """\
other machines need the password file {password_file}, copied as ~/.pgpass with mode 0600, and
    export TUNER_STORAGE={remote_url}
note: this Postgres has no TLS: passwords do not travel, but the network can read what agents write;
use a network that you trust, an SSH tunnel or a VPN, or a Postgres of your own with TLS"""


def upgrade(options: argparse.Namespace) -> int:
    """Migrate the database by opening it as its owner."""
    with open_named(options.storage) as database:
        revision, version = read_schema(database)
    found = {"optuna": revision, "tuner": version}
    text = f"the schema is up to date: Optuna {revision}, tuner {version}"
    print(render_json(found) if options.json else text)
    return 0
