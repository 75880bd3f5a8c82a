"""Named queries: the statements are in `sql/*.sql`, each under a line `-- name: ...`.

The first comment line after the name states the purpose of the statement.
"""

import re
from functools import cache
from importlib import resources


@cache
def load_queries(file: str) -> dict[str, str]:
    """Return the statements of `sql/FILE.sql` by name."""
    text = (resources.files("tuner.storage") / "sql" / f"{file}.sql").read_text(encoding="utf-8")
    parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)
    return {
        name: body.strip().rstrip(";") for name, body in zip(parts[1::2], parts[2::2], strict=True)
    }
