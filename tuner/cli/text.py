"""Words and tables for people."""

import math
import unicodedata
from collections.abc import Sequence


def clean(text: str) -> str:
    """Without control characters: what others wrote must not steer this terminal."""
    return "".join(
        character if character == "\n" or unicodedata.category(character)[0] != "C" else "\ufffd"
        for character in text
    )


def one_line(text: str) -> str:
    """As `clean`, for a table's cell."""
    return clean(" ".join(text.split()))


def render_value(value: object) -> str:
    """A param or metric in few characters."""
    if isinstance(value, float):
        return repr(value) if not math.isfinite(value) or value.is_integer() else f"{value:.5g}"
    return one_line(str(value))


def render_seconds(seconds: float) -> str:
    """A duration in its two largest units."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"


def count(number: int, noun: str) -> str:
    """`1 trial`, `2 trials`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def render_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns under their names; numbers to the right."""
    if not rows:
        return "  ".join(header)
    columns = list(zip(header, *rows, strict=True))
    widths = [max(len(cell) for cell in column) for column in columns]
    is_number = [all(_is_numeric(cell) for cell in column[1:]) for column in columns]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, is_number, strict=True)
        ).rstrip()
        for row in (header, *rows)
    )


def _is_numeric(cell: str) -> bool:
    try:
        float(cell.replace(",", "")) if cell else None
    except ValueError:
        return False
    return True
