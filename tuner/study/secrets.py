"""Passwords: what this process prints or stores is passed through `redact`.

User code runs as the same user and may read the agent's environment; what it prints goes into the
database, where every reader sees it.
"""

from collections.abc import Mapping
from urllib.parse import quote

MIN_LENGTH = 8  # shorter ones would tear words apart, and are guessed anyway
_GUESSED = frozenset({"postgres", "postgresql", "password"})
_known: tuple[str, ...] = ()


def remember(secret: str | None) -> None:
    """From now on it is replaced, as it is and as a URL writes it."""
    global _known
    if secret and len(secret) >= MIN_LENGTH and secret not in _GUESSED:
        forms = {secret, quote(secret), quote(secret, safe="")} - set(_known)
        _known = tuple(sorted({*_known, *forms}, key=len, reverse=True))


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what the user's code may see: nothing that opens the database."""
    return {
        name: value for name, value in environment.items() if not name.startswith(("PG", "TUNER_"))
    }


def redact(text: str) -> str:
    """The text with `***` for every password that is known."""
    for secret in _known:
        text = text.replace(secret, "***")
    return text
