"""`tuner db grant worker|reader|none ROLE`."""

import argparse
import sys

from tuner.cli.database import open_named
from tuner.cli.text.as_json import render_json
from tuner.cli.text.words import clean
from tuner.storage.schema.roles import RoleKind, grant

_MEANING = {
    "worker": "may run and steer studies; it cannot delete them or change the schema",
    "reader": "may look at studies and change nothing",
    "none": "has no rights on the studies any more",
}


def execute(options: argparse.Namespace) -> int:
    """Change the role's rights; with `--print` only show the statements."""
    kind = None if options.kind == "none" else RoleKind(options.kind)
    with open_named(options.storage) as database:
        granted = grant(database, kind, options.role, is_rehearsal=options.print)
    if options.json:
        done = {
            "role": options.role,
            "kind": options.kind,
            "is_done": not options.print,
            "notes": granted.notes,
            "statements": granted.script,
        }
        print(render_json(done))
    elif options.print:
        print(granted.script, end="")
    else:
        print(clean(f"{options.role} {_MEANING[options.kind]}"))
        for note in granted.notes:
            print(clean(f"note: {note}"), file=sys.stderr)
    return 0
