"""What a stream can show."""

import os
from typing import TextIO


def has_screen(stream: TextIO) -> bool:
    """Whether a live screen can be drawn on it."""
    return stream.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "")
