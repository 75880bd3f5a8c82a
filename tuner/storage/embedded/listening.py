"""The embedded server for other machines: an address, a password file, a worker's rights.

The packaged Postgres is built without TLS: passwords are never sent (SCRAM), but the agents' data
can be read on the way. For more protection use a separate Postgres or a tunnel.
"""

import os
import secrets
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path

from psycopg2.extensions import encrypt_password
from psycopg2.sql import SQL, Identifier, Literal

from tuner.errors import RunFailed, UsageError
from tuner.storage.connections.connection import Database, database_errors, raw_closing
from tuner.storage.embedded.home import Home
from tuner.storage.queries import load_queries
from tuner.storage.schema.roles import RoleKind, grant

FLEET = "fleet"  # the role of other machines
_RULES = "local all all peer map=owner\nhost tuner all all scram-sha-256\n"


@dataclass(frozen=True, kw_only=True)
class Listen:
    """The address of the embedded server for other machines."""

    address: str  # "0.0.0.0": on every one of this machine's
    port: int

    @property
    def host(self) -> str:
        """Return the name of this machine for others."""
        is_any = self.address in ("0.0.0.0", "::", "*")
        return socket.gethostname() if is_any else self.address

    @property
    def url(self) -> str:
        """Return the URL for other machines; the password is in the file."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"postgresql://{FLEET}@{host}:{self.port}/tuner"


def check_free(listen: Listen) -> None:
    """Raise `UsageError` for an address of another machine, or a port in use."""
    try:
        found = socket.getaddrinfo(
            listen.address, listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, kind, protocol, _, address in found[:1]:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
    except OSError as error:
        raise UsageError(
            f"cannot listen on {listen.address}:{listen.port} ({error.strerror}); name an address "
            "of this machine and a free port"
        ) from error


def admit_others(data: Path) -> None:
    """Admit other machines by password; on this one the kernel still authenticates users."""
    rules = data / "pg_hba.conf"
    if rules.read_text() == _RULES:
        return
    # Written next to the server's folder: root must not follow a link that its user put there.
    owner = data.stat()
    descriptor, new = tempfile.mkstemp(dir=data.parent, prefix="pg_hba-")  # mode 0600
    with os.fdopen(descriptor, "w") as file:
        file.write(_RULES)
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
    os.rename(new, rules)


def make_fleet_role(database: Database, home: Home) -> Path:
    """Create the role of other machines, with a worker's rights; return its password file.

    The file has libpq's format (`PGPASSFILE`, `~/.pgpass`), so it is copied as it is.
    """
    path = home.server / f"{FLEET}.pgpass"
    password = _password_of(path)
    raw = database.open_raw()
    with database_errors(), raw_closing(raw), raw.cursor() as cursor:
        verifier = encrypt_password(password, FLEET, scope=raw, algorithm="scram-sha-256")
        queries = load_queries("roles")
        role = Identifier(FLEET)
        cursor.execute(queries["find_role"], {"role": FLEET})
        name = "make_role" if cursor.fetchone() is None else "set_password"
        cursor.execute(SQL(queries[name]).format(role=role, password=Literal(verifier)))
    grant(database, RoleKind.WORKER, FLEET)
    return path


def _password_of(path: Path) -> str:
    """Return the existing password, or a new one of 32 random bytes."""
    try:
        if not path.exists():
            text = f"*:*:tuner:{FLEET}:{secrets.token_urlsafe(32)}\n"
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(text)
        return path.read_text().strip().split(":")[4]
    except (OSError, IndexError) as error:
        raise RunFailed(
            f"cannot use the password file {path} ({error}); remove it for a new password"
        ) from error
