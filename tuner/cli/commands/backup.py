"""`tuner db backup` and `tuner db restore FILE`."""

import argparse
from datetime import datetime
from pathlib import Path

from tuner.cli.database import open_existing, open_unmigrated
from tuner.cli.text.as_json import render_json
from tuner.cli.text.words import clean
from tuner.storage.schema.backup import Backup, read_backup, restore_backup, write_backup


def execute(options: argparse.Namespace) -> int:
    if options.command == "backup":
        path = Path(options.output or f"tuner-{datetime.now():%Y%m%d-%H%M%S}.zip")
        with open_existing(options.storage) as database:
            backup = write_backup(database, path)
        done = f"wrote {path} ({path.stat().st_size / 1e6:,.1f} MB): "
    else:
        path = Path(options.file)
        read_backup(path)  # before a server starts for it
        with open_unmigrated(options.storage) as database:
            backup = restore_backup(database, path)
        done = f"restored {path} of {backup.made_at}: "
    found = _found(backup)
    if options.json:
        print(render_json({"file": str(path), "made_at": backup.made_at, **found}))
    else:
        print(clean(done + ", ".join(f"{n:,} {what}" for what, n in found.items())))
    return 0


def _found(backup: Backup) -> dict[str, int]:
    return {
        "studies": backup.n_rows("optuna.studies"),
        "trials": backup.n_rows("optuna.trials"),
        "checkpoints": backup.n_rows("tuner.checkpoint"),
    }
