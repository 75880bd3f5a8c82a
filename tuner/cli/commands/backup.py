"""`tuner db backup` and `tuner db restore FILE`."""

import argparse
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from tuner.cli.database import open_existing, open_unmigrated
from tuner.cli.text.as_json import render_json
from tuner.cli.text.words import clean, count
from tuner.errors import UsageError
from tuner.storage.objects.own import find_objects, open_store_of
from tuner.storage.objects.store import ObjectStore
from tuner.storage.schema.backup import Backup, read_backup, restore_backup, write_backup


def execute(options: argparse.Namespace) -> int:
    if options.command == "backup":
        path = Path(options.output or f"tuner-{datetime.now():%Y%m%d-%H%M%S}.zip")
        stores = _open_stores(options.with_checkpoints)
        with open_existing(options.storage) as database:
            backup, n_objects = write_backup(database, path, stores)
            n_outside = find_objects(database).n_objects
        _warn_of_missing(n_outside, n_objects, bool(stores))
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


def _open_stores(study_files: Sequence[str]) -> dict[str, ObjectStore]:
    """Open the stores of the study files; raises `UsageError` for a file without one."""
    stores = {}
    for name in study_files:
        store = open_store_of(Path(name))
        if store is None:
            raise UsageError(f"{name} keeps its checkpoints in the database; leave it out")
        stores[store.shown] = store
    return stores


def _warn_of_missing(n_outside: int, n_copied: int, has_stores: bool) -> None:
    if n_outside <= n_copied:
        return
    left_out = count(n_outside - n_copied, "checkpoint")
    how = "the named stores lack them" if has_stores else "add --with-checkpoints STUDY.yaml"
    print(f"not included: {left_out} in a store outside the database; {how}", file=sys.stderr)


def _found(backup: Backup) -> dict[str, int]:
    return {
        "studies": backup.n_rows("optuna.studies"),
        "trials": backup.n_rows("optuna.trials"),
        "checkpoints": backup.n_rows("tuner.checkpoint"),
    }
