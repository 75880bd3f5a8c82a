"""Three kinds of database roles: the owner migrates and deletes, a worker runs, a reader reads."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import TYPE_CHECKING

import psycopg2.errors
from psycopg2.sql import SQL, Composable, Identifier

from tuner.errors import DatabaseError, UsageError
from tuner.storage.connections.connection import Database, database_errors, raw_closing
from tuner.storage.connections.pooling import TIMEOUTS, render_limits
from tuner.storage.connections.sessions import run
from tuner.storage.queries import load_queries
from tuner.storage.schema.optuna_tables import OPTUNA_TABLES

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

# Tables from which a worker deletes. Only the owner deletes from others (`tuner delete`).
TRIMMED = ("tuner.checkpoint", "tuner.metric", "tuner.weights", "trial_intermediate_values")
# Tables with the version of a schema, and the identity of the database: migrations write there.
VERSIONS = ("tuner.migration", "tuner.identity", "alembic_version", "version_info")


class RoleKind(StrEnum):
    OWNER = "owner"  # makes and changes the tables, deletes studies
    WORKER = "worker"  # runs and steers studies
    READER = "reader"  # looks at them


@dataclass(frozen=True, kw_only=True)
class TableRights:
    """Rights of the current role on one table."""

    table: str  # "tuner.lease", "trials"
    is_owner: bool
    can_select: bool
    can_insert: bool
    can_update: bool
    can_delete: bool


@dataclass(frozen=True, kw_only=True)
class Granted:
    """The changes to a role, made or planned."""

    script: str
    notes: tuple[str, ...]  # advice about the role for the user


@dataclass(frozen=True, kw_only=True)
class _Standing:
    me: str
    database: str
    schema: str  # of Optuna's tables
    owner: str
    is_owner: bool
    is_known: bool  # the named role
    can_login: bool
    is_superuser: bool
    is_member_of_owner: bool


def grant(
    database: Database, kind: RoleKind | None, role: str, *, is_rehearsal: bool = False
) -> Granted:
    """Make a role a worker or a reader, or with None revoke its rights; all or nothing.

    `is_rehearsal`: only return the statements. Raises `UsageError` for an unknown role,
    `DatabaseError` without the owner's rights.
    """
    raw = database.open_raw()
    with database_errors(), raw_closing(raw), raw.cursor() as cursor:
        ((*found,),) = run(cursor, "roles", "standing", {"role": role})
        standing = _Standing(**dict(zip(_Standing.__dataclass_fields__, found, strict=True)))
        if not is_rehearsal:
            _check(cursor, standing, role)
        tables = {"schema": standing.schema, "optuna_tables": list(OPTUNA_TABLES)}
        sequences = [name for (name,) in run(cursor, "roles", "sequences", tables)]
        script = _render(cursor, kind, role, standing, sequences)
        timeouts = TIMEOUTS if kind is not None else None
        limits = render_limits(role, standing.database, cursor, timeouts)
        if is_rehearsal:
            return Granted(script=f"{script}{_LIMITS_HEAD}{limits}", notes=())
        cursor.execute(script)
        notes = tuple(_notes(cursor, kind, role, standing))
        if not _limit(cursor, limits):
            return Granted(script=script, notes=(*notes, *_unlimited(cursor, kind, role, limits)))
        return Granted(script=f"{script}{_LIMITS_HEAD}{limits}", notes=notes)


def read_rights(cursor: "Cursor") -> list[TableRights]:
    """Return the current role's rights on the tables of both schemas that exist."""
    rows = run(cursor, "roles", "rights", {"optuna_tables": list(OPTUNA_TABLES)})
    return [
        TableRights(
            table=table,
            is_owner=is_owner,
            can_select=select,
            can_insert=insert,
            can_update=update,
            can_delete=delete,
        )
        for table, is_owner, select, insert, update, delete in rows
    ]


def find_kind(rights: Sequence[TableRights]) -> tuple[RoleKind | None, list[str]]:
    """Return a role's kind, and the rights it lacks for the next better kind below owner."""
    if rights and all(right.is_owner for right in rights):
        return RoleKind.OWNER, []
    for_reading = [f"select on {r.table}" for r in rights if not r.can_select]
    if for_reading or not rights:
        return None, for_reading
    for_writing = [text for right in rights for text in _missing_to_write(right)]
    return (RoleKind.READER if for_writing else RoleKind.WORKER), for_writing


def _missing_to_write(right: TableRights) -> list[str]:
    if right.table in VERSIONS:
        return []
    given = {"insert": right.can_insert, "update": right.can_update}
    if right.table in TRIMMED:
        given["delete"] = right.can_delete
    return [f"{word} on {right.table}" for word, may in given.items() if not may]


def _check(cursor: "Cursor", standing: _Standing, role: str) -> None:
    if not standing.is_known:
        names = [name for (name,) in run(cursor, "roles", "role_names", {})]
        close = get_close_matches(role, names, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise UsageError(
            f"this database server has no role {role!r}{hint}; an administrator makes one with "
            f"`create role {_quote(role)} login`"
        )
    if not standing.is_owner:
        raise DatabaseError(
            f"{standing.me!r} cannot grant rights on these tables: they belong to "
            f"{standing.owner!r}; connect as that role, or hand it the output of --print"
        )
    if role == standing.owner:
        raise UsageError(f"{role!r} owns the tables and keeps every right; name another role")


def _render(
    cursor: "Cursor",
    kind: RoleKind | None,
    role: str,
    standing: _Standing,
    sequences: Sequence[str],
) -> str:
    """Render one transaction, as text for users and for Postgres."""
    names = ["revoke_ours", "revoke_optuna", "revoke_sequences", "revoke_schema", "revoke_later"]
    if kind is not None:
        names += ["connect", "use_schemas", "read_ours", "read_optuna", "read_later"]
    if kind is RoleKind.WORKER:
        names += ["write_ours", "keep_versions", "write_optuna", "count_up", "trim", "write_later"]
    schema = standing.schema
    written = [name for name in OPTUNA_TABLES if name not in VERSIONS]
    values: dict[str, Composable] = {
        "role": Identifier(role),
        "owner": Identifier(standing.owner),
        "database": Identifier(standing.database),
        "schema": Identifier(schema),
        "tables": _listed((schema, name) for name in OPTUNA_TABLES),
        "written": _listed((schema, name) for name in written),
        "trimmed": _listed(
            tuple(name.split(".")) if "." in name else (schema, name) for name in TRIMMED
        ),
        "sequences": _listed((schema, name) for name in sequences),
    }
    queries = load_queries("roles")
    texts = [SQL(queries[name]).format(**values).as_string(cursor) for name in names]
    return "begin;\n" + "".join(f"{text};\n" for text in texts) + "commit;\n"


_LIMITS_HEAD = "-- By the role itself or an administrator; for poolers that pool transactions.\n"


def _limit(cursor: "Cursor", limits: str) -> bool:
    """Set the role's time-outs; False without the right, which the role or an administrator has."""
    try:
        cursor.execute(limits)
    except psycopg2.errors.InsufficientPrivilege:
        return False
    return True


def _unlimited(cursor: "Cursor", kind: RoleKind | None, role: str, limits: str) -> Iterable[str]:
    """Yield the settings a role lacks when some poolers let it only connect."""
    if kind is None or run(cursor, "roles", "limits", {"role": role, "names": list(TIMEOUTS)}):
        return
    yield (
        f"{role!r} has no time-outs of its own, which it needs behind a connection pooler that "
        f"pools transactions; if there is one, {role!r} or an administrator runs "
        f"`{' '.join(limits.split())}`"
    )


def _listed(names: Iterable[tuple[str, ...]]) -> Composable:
    return SQL(", ").join([Identifier(*name) for name in names])


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _notes(
    cursor: "Cursor", kind: RoleKind | None, role: str, standing: _Standing
) -> Iterable[str]:
    if standing.is_superuser:
        yield f"{role!r} is a superuser: it may do everything, whatever is granted"
        return
    if standing.is_member_of_owner:
        yield f"{role!r} is a member of {standing.owner!r} and has the owner's rights through it"
        return
    if kind is None:
        return
    if not standing.can_login:
        yield f"{role!r} cannot log in: the rights are for its members"
    facts = {"role": role, "schema": standing.schema}
    ((in_database, in_schema),) = run(cursor, "roles", "can_make_tables", facts)
    if in_database:
        yield (
            f"{role!r} may make schemas in this database; take that back with "
            f"`revoke create on database {_quote(standing.database)} from {_quote(role)}`"
        )
    if in_schema:
        yield (
            f"{role!r} may make tables in schema {standing.schema}, as every role may there up to "
            f"Postgres 14; take that back with "
            f"`revoke create on schema {_quote(standing.schema)} from public`"
        )
