"""Curves in characters: a plot of braille dots, a sparkline of blocks."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from tuner.cli.text.words import render_value

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # row, column -> bit
_BLOCKS = "▁▂▃▄▅▆▇█"
_ASCII_BLOCKS = "_.-=+*#@"


def render_curve(
    curve: Mapping[int, float], noun: str, width: int, height: int = 8, *, ascii_only: bool = False
) -> str:
    """Render values over steps with their extremes at the margins; empty below two values."""
    if len(curve) < 2:
        return ""
    low, high = min(curve.values()), max(curve.values())
    labels = [render_value(float(high)), render_value(float(low))]
    margin = max(map(len, labels))
    columns = max(8, min(width - margin - 5, 100))
    lines = _ascii(curve, columns, height) if ascii_only else _braille(curve, columns, height)
    edge = "|" if ascii_only else "┤"
    left = [labels[0], *[""] * (height - 2), labels[1]]
    plot = [f"  {a.rjust(margin)} {edge}{b}" for a, b in zip(left, lines, strict=True)]
    last = f"{max(curve):,}"
    axis = f"{noun} {min(curve):,}".ljust(max(0, columns - len(last))) + last
    return "\n".join([*plot, " " * (margin + 4) + axis])


def _points(curve: Mapping[int, float], columns: int, rows: int) -> set[tuple[int, int]]:
    """Return cells (column, row from the top) on the way from point to point."""
    steps, (low, high) = sorted(curve), (min(curve.values()), max(curve.values()))
    width, span = max(1, steps[-1] - steps[0]), (high - low) or 1.0
    placed = [
        (
            round((step - steps[0]) / width * (columns - 1)),
            round((high - curve[step]) / span * (rows - 1)) if high > low else rows // 2,
        )
        for step in steps
    ]
    cells = {placed[0]}
    for (x0, y0), (x1, y1) in pairwise(placed):
        n_cells = max(abs(x1 - x0), abs(y1 - y0), 1)
        cells |= {
            (round(x0 + (x1 - x0) * i / n_cells), round(y0 + (y1 - y0) * i / n_cells))
            for i in range(n_cells + 1)
        }
    return cells


def _braille(curve: Mapping[int, float], columns: int, rows: int) -> list[str]:
    cells = [[0] * columns for _ in range(rows)]
    for x, y in _points(curve, columns * 2, rows * 4):
        cells[y // 4][x // 2] |= _DOTS[y % 4][x % 2]
    return ["".join(chr(0x2800 + bits) for bits in row) for row in cells]


def _ascii(curve: Mapping[int, float], columns: int, rows: int) -> list[str]:
    points = _points(curve, columns, rows)
    return [
        "".join("*" if (x, y) in points else " " for x in range(columns)).rstrip()
        for y in range(rows)
    ]


def sparkline(values: Sequence[float], width: int, *, ascii_only: bool = False) -> str:
    """Render one character a value, scaled to the full height."""
    blocks = _ASCII_BLOCKS if ascii_only else _BLOCKS
    if not values or width < 1:
        return ""
    if len(values) > width:
        values = [values[(i + 1) * len(values) // width - 1] for i in range(width)]
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    top = len(blocks) - 1
    return "".join(
        blocks[round((value - low) / span * top) if high > low else 0] for value in values
    )
