"""Words and tables for display."""

import math
import shutil
import textwrap
import unicodedata
from collections.abc import Sequence
from typing import TextIO

from tuner.study.durations import render_seconds
from tuner.study.secrets import redact
from tuner.study_file.text.yaml_text import render_readable


def clean(text: str) -> str:
    """Remove control characters, which would steer the terminal, and known passwords."""
    return _without_controls(redact(text), "\n")


def clean_page(text: str) -> str:
    """Remove control characters except tabs, which only move to the right."""
    return _without_controls(text, "\n\t")


def flat(text: str) -> str:
    """Clean the text into one line, keeping its spaces."""
    return _without_controls(redact(text).replace("\n", " "), "")


def _without_controls(text: str, kept: str) -> str:
    """Replace escapes, other controls, direction marks and Unicode's own line ends."""
    return "".join(
        c if c.isprintable() or c in kept or unicodedata.category(c) == "Zs" else "\ufffd"
        for c in text
    )


def clean_log(text: str) -> str:
    """Clean the text, with tabs as spaces and a progress bar's returns as line ends."""
    return clean(text.replace("\r\n", "\n").replace("\r", "\n").expandtabs())


def one_line(text: str) -> str:
    """Clean the text for a table's cell."""
    return clean(" ".join(text.split()))


def render_value(value: object) -> str:
    """Render a param or metric in few characters; `null` and the text "null" differ."""
    if isinstance(value, float):
        return repr(value) if not math.isfinite(value) or value.is_integer() else f"{value:.5g}"
    return one_line(render_readable(value))


def render_coarse(seconds: float) -> str:
    """Render an estimate, without tenths of a second."""
    return f"{round(seconds)} s" if seconds < 59.5 else render_seconds(seconds)


def count(number: int, noun: str) -> str:
    """Return `1 trial`, `2 trials`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def render_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], width: int | None = None
) -> str:
    """Render columns under their names; numbers to the right.

    If they are wider than `width`, the columns that do not fit follow below, the first column with
    them again. No cell is cut.
    """
    if not rows:
        return "  ".join(map(flat, header))
    columns = [[flat(cell) for cell in cells] for cells in zip(header, *rows, strict=True)]
    drawn = [_column(column) for column in columns]
    blocks: list[list[Sequence[str]]] = [[drawn[0]]]
    for column in drawn[1:]:
        is_full = len(blocks[-1]) > 1 and width is not None
        if is_full and sum(len(c[0]) + 2 for c in [*blocks[-1], column]) - 2 > (width or 0):
            blocks.append([drawn[0]])
        blocks[-1].append(column)
    return "\n\n".join(
        "\n".join("  ".join(cells).rstrip() for cells in zip(*block, strict=True))
        for block in blocks
    )


def _column(cells: Sequence[str]) -> list[str]:
    """Pad its name and its cells to the same width."""
    width = max(map(len, cells))
    is_number = all(map(_is_numeric, cells[1:]))
    return [cell.rjust(width) if is_number else cell.ljust(width) for cell in cells]


def _is_numeric(cell: str) -> bool:
    try:
        float(cell.replace(",", "")) if cell else None
    except ValueError:
        return False
    return True


def terminal_width(stream: TextIO) -> int | None:
    """Return the columns of a terminal; None if lines may have any length."""
    return shutil.get_terminal_size().columns if stream.isatty() else None


def cut(text: str, width: int | None) -> str:
    """Cut one line to the width after a whole word; its last character marks the cut."""
    if width is None or len(text) <= width:
        return text
    kept = text[:width].rpartition(" ")[0].rstrip()
    return f"{kept}…" if kept else text[: max(0, width - 1)] + "…"


def wrap(text: str, width: int | None) -> str:
    """Fold lines at spaces, each but the first indented; no word or number is cut."""
    if width is None:
        return text
    return "\n".join(_fold(line, max(20, width)) for line in text.split("\n"))


def _fold(line: str, width: int) -> str:
    return (
        line
        if len(line) <= width
        else textwrap.fill(
            line,
            width,
            subsequent_indent="    ",
            break_on_hyphens=False,
            break_long_words=False,
            expand_tabs=False,
            replace_whitespace=False,
        )
    )


def can_show(text: str, stream: TextIO) -> bool:
    """Return whether the stream's encoding has these characters."""
    try:
        text.encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
