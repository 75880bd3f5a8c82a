"""Passwords: all output and stored text of this process is passed through `redact`.

User code runs as the same user and may read the agent's environment; its output goes into the
database, where every reader sees it.
"""

from collections.abc import Mapping
from urllib.parse import quote

MIN_LENGTH = 8  # shorter ones would tear words apart, and are guessed anyway
_GUESSED = frozenset({"postgres", "postgresql", "password"})
_known: tuple[str, ...] = ()


def remember(secret: str | None) -> None:
    """Redact this secret from now on, as it is and as a URL writes it."""
    global _known
    if secret and len(secret) >= MIN_LENGTH and secret not in _GUESSED:
        forms = {secret, quote(secret), quote(secret, safe="")} - set(_known)
        _known = tuple(sorted({*_known, *forms}, key=len, reverse=True))


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for user code: without variables that open the database."""
    return {
        name: value for name, value in environment.items() if not name.startswith(("PG", "TUNER_"))
    }


def redact(text: str) -> str:
    """Return the text with `***` for every known password."""
    for secret in _known:
        text = text.replace(secret, "***")
    return text
