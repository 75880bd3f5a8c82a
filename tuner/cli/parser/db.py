"""`tuner db ...` and its arguments."""

from tuner.cli.parser import arguments
from tuner.cli.parser.command import Commands, add_command, add_json


def add_db(commands: Commands) -> None:
    """Add the commands for users and administrators of the database."""
    db = commands.add_parser(
        "db",
        help="the database: its URL, the embedded server, rights, backup, upgrades",
        description="The database: its URL, the embedded server, rights, backup, upgrades.",
        epilog='example: optuna-dashboard "$(tuner db url)"   # while `tuner db serve` runs',
        allow_abbrev=False,
    )
    actions = db.add_subparsers(title="actions", metavar="ACTION", required=True)
    url = add_command(actions, "url", "db", "print the URL, without its password", _URL)
    add_json(url)
    serve = add_command(
        actions,
        "serve",
        "db",
        "keep the embedded database up until Ctrl-C",
        "tuner db serve --listen 0.0.0.0",
    )
    serve.add_argument(
        "--listen",
        type=arguments.listen,
        metavar="ADDRESS[:PORT]",
        help="admit other machines, which log in with the password file that is printed",
    )
    add_json(serve)
    upgrade = add_command(
        actions,
        "upgrade",
        "db",
        "bring the schema up to date, as the first command of its owner does as well",
        "tuner db upgrade",
    )
    add_json(upgrade)
    _add_grant(actions)
    _add_backup(actions)


_URL = 'optuna-dashboard "$(tuner db url)"'


def _add_backup(actions: Commands) -> None:
    backup = add_command(
        actions,
        "backup",
        "backup",
        "write all studies into one file, while agents continue",
        "tuner db backup -o studies.zip",
    )
    backup.add_argument(
        *("-o", "--output"),
        type=arguments.text,
        metavar="FILE",
        help="a file that does not exist yet (default: tuner-DATE-TIME.zip)",
    )
    backup.add_argument(
        "--with-checkpoints",
        type=arguments.text,
        metavar="STUDY.yaml",
        action="append",
        default=[],
        help="include the checkpoints in the store that this study file names; may be repeated",
    )
    add_json(backup)
    restore = add_command(
        actions,
        "restore",
        "backup",
        "fill an empty database from a backup",
        "tuner db restore studies.zip",
    )
    restore.add_argument("file", type=arguments.text, metavar="FILE", help="a backup file")
    add_json(restore)


def _add_grant(actions: Commands) -> None:
    grant = add_command(
        actions,
        "grant",
        "grant",
        "give a database role the rights of a worker or a reader, or none",
        "tuner db grant worker alice",
    )
    grant.add_argument(
        "kind",
        choices=["worker", "reader", "none"],
        metavar="worker|reader|none",
        help="worker: run and control studies; reader: read them; none: remove all rights",
    )
    grant.add_argument("role", type=arguments.text, metavar="ROLE", help="an existing login role")
    grant.add_argument(
        "--print", action="store_true", help="print the statements without running them"
    )
    add_json(grant)
