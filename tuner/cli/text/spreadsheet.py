"""Cells of CSV files that people open in a spreadsheet."""

from tuner.cli.text.words import clean

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_cell(value: object) -> str:
    """Return a cell that no spreadsheet takes for a formula and no terminal for a command."""
    if value is None:
        return ""
    if isinstance(value, int | float):
        return str(value)
    text = str(value)
    return clean(f"'{text}" if text.startswith(_FORMULA) else text)
