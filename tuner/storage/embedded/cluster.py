"""The files of the embedded Postgres, created once by the programs of its own version."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tuner.errors import DatabaseError
from tuner.storage.embedded.binaries import ServerUser, find_server_name

DATABASE = "tuner"
ROLE = "tuner"
_ERROR = re.compile(r"\b(error|FATAL|PANIC):")


def create_cluster(binaries: Path, folder: Path, data: Path, user: ServerUser | None) -> None:
    """Run initdb in a temporary folder and rename it: an incomplete one never counts."""
    for torn in folder.glob("initdb-*"):
        shutil.rmtree(torn, ignore_errors=True)
    staging = Path(tempfile.mkdtemp(dir=folder, prefix="initdb-"))
    try:
        if user:
            os.chown(staging, user.uid, user.gid)
        cluster = staging / "data"
        words = f"-U {ROLE} -E UTF8 -A peer --locale=C.UTF-8 --no-instructions".split()
        _run((binaries / "initdb", "-D", cluster, *words), user, folder=staging)
        (cluster / "pg_hba.conf").write_text("local all all peer map=owner\n")
        name = find_server_name().name
        (cluster / "pg_ident.conf").write_text(f"owner {name} {ROLE}\n")
        _create_database(binaries, cluster, user)
        cluster.rename(data)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _create_database(binaries: Path, cluster: Path, user: ServerUser | None) -> None:
    single = (binaries / "postgres", "--single", "-D", cluster, "postgres")
    _run(single, user, folder=cluster, script=f"create database {DATABASE} owner {ROLE};\n")


def _run(
    command: Sequence[Path | str], user: ServerUser | None, *, folder: Path, script: str = ""
) -> None:
    result = subprocess.run(
        [*find_server_name().words, *command],
        input=script,
        capture_output=True,
        text=True,
        cwd=folder,
        env=server_environment(),
        check=False,
        user=user.uid if user else None,
        group=user.gid if user else None,
        extra_groups=[] if user else None,
    )
    if result.returncode:
        raise DatabaseError(f"cannot create the embedded database: {_cause(result.stderr)}")


def _cause(output: str) -> str:
    """Return the first error that a server's program prints; later ones come from its cleanup."""
    lines = output.strip().splitlines() or ["no message"]
    return next((line for line in lines if _ERROR.search(line)), lines[-1])


def server_environment() -> dict[str, str]:
    """Return the environment without variables of a database: the server outlives us."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("PG", "TUNER_"))}
