"""Keys of objects, relative to the configured store: a row never holds a location.

`<database>/<study>/<trial>/<attempt>-<step>-<random>`. The first part is the identity of the
database that wrote the row. A restored database has another one, so it reads the objects of the
first database and never deletes them.
"""

import re
import secrets
from uuid import UUID

from tuner.study.trial import AttemptKey

_KEY = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/\d{1,10}/\d{1,10}/[0-9a-f-]{1,64}")


def build_key(database_id: UUID, study_id: int, key: AttemptKey, step: int) -> str:
    """Return a new key: no two uploads share one, even after an attempt was lost."""
    name = f"{key.attempt}-{step}-{secrets.token_hex(8)}"
    return f"{trial_prefix(database_id, study_id, key.number)}{name}"


def study_prefix(database_id: UUID, study_id: int) -> str:
    return f"{database_id}/{study_id}/"


def trial_prefix(database_id: UUID, study_id: int, number: int) -> str:
    return f"{study_prefix(database_id, study_id)}{number}/"


def is_key(text: str) -> bool:
    """Return whether a key from a row has our form, and so stays below the store's prefix."""
    return _KEY.fullmatch(text) is not None


def is_own(text: str, database_id: UUID) -> bool:
    """Return whether this database wrote the object, and so may delete it."""
    return is_key(text) and text.startswith(f"{database_id}/")
