"""`tuner dashboard [STUDY]`."""

import argparse
import sys
from pathlib import Path

from tuner.cli.database import open_existing
from tuner.cli.text.words import clean
from tuner.dashboard.server import Serving, serve
from tuner.storage.connections.read_only import read_only
from tuner.storage.embedded.home import open_home
from tuner.storage.reading.rows import find_row


def execute(options: argparse.Namespace) -> int:
    """Serve pages until Ctrl-C."""
    serving = Serving(
        host=options.host,
        port=options.port,
        token_file=Path(options.token_file) if options.token_file else None,
        metrics_token_file=(
            Path(options.metrics_token_file) if options.metrics_token_file else None
        ),
        allow_hosts=options.allow_host,
        allow_actions=options.allow_actions,
        key_file=open_home().path / "dashboard.key",
    )
    with open_existing(options.storage) as database:
        if options.study is not None:
            with database.reading() as connection:
                find_row(connection, options.study)  # reports a wrong name here
        path = "" if options.study is None else f"s/{options.study}"
        shown = database if options.allow_actions else read_only(database)
        serve(shown, serving, lambda url: _tell(url, path))
    return 0


def _tell(url: str, path: str) -> None:
    """Print the address; each further browser gets a new one."""
    base, mark, token = url.partition("?")
    print(f"{base}{path}{mark}{token}", flush=True)
    if mark:
        print("for one browser; the next one gets its own address here", file=sys.stderr)
    else:
        print(clean("log in once with ?token=..., the content of --token-file"), file=sys.stderr)
