"""What a stream can show."""

import os
from typing import TextIO


def has_colour(stream: TextIO) -> bool:
    """NO_COLOR and FORCE_COLOR, where one is set; else terminals have (no-color.org)."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or has_screen(stream)


def has_screen(stream: TextIO) -> bool:
    """Whether a live screen can be drawn on it."""
    return stream.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "")
