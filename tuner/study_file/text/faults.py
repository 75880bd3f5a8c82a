"""Faults in a study file, collected while it is read; and the quoting of values.

Warnings are collected in the same way: allowed content that is probably a mistake.
"""

import difflib
import re
from collections.abc import Iterable, Sequence

from tuner.errors import Fault

MAX_FAULTS = 20
_MAX_QUOTED = 60  # characters of a value in a message
_MAX_SOURCE = 300  # characters of a source line below a message
_Note = tuple[int, int, str, str]  # line, column, path, message
_PASSWORD = re.compile(r"(?<=://)([^\s/@:]*:)([^\s@]+)(?=@)")


class Faults:
    """Collects faults in any order and returns them sorted by position."""

    def __init__(self, lines: Sequence[str] = ()) -> None:
        self._lines = lines
        self._faults: set[_Note] = set()
        self._warnings: set[_Note] = set()

    def add(self, line: int, column: int, path: str, message: str) -> None:
        """Add a fault; line and column count from 1."""
        self._faults.add((line, column, path, message))

    def warn(self, line: int, column: int, path: str, message: str) -> None:
        """Add a warning; the file stays valid."""
        self._warnings.add((line, column, path, message))

    def __bool__(self) -> bool:
        return bool(self._faults)

    def first(self) -> tuple[Fault, ...]:
        """Return the first faults of the file, at most `MAX_FAULTS`."""
        return self._located(self._faults)

    def warnings(self) -> tuple[Fault, ...]:
        """Return the first warnings of the file, at most `MAX_FAULTS`."""
        return self._located(self._warnings)

    def n_more(self) -> int:
        """Return the number of faults beyond those of `first`."""
        return max(0, len(self._faults) - MAX_FAULTS)

    def _located(self, notes: "set[_Note]") -> tuple[Fault, ...]:
        return tuple(
            Fault(
                line=line,
                column=column,
                path=printable(path),
                message=hide_passwords(message),
                source=self._source(line, column),
            )
            for line, column, path, message in sorted(notes)[:MAX_FAULTS]
        )

    def _source(self, line: int, column: int) -> str:
        if not 1 <= line <= len(self._lines) or column > _MAX_SOURCE:
            return ""
        return hide_passwords(printable(self._lines[line - 1][:_MAX_SOURCE]))


def quote(value: object) -> str:
    """Return a value for a message: short, printable, text in quotes, the rest as in YAML."""
    words = {None: "null", True: "true", False: "false"}
    if value is None or isinstance(value, bool):
        return words[value]
    text = printable(str(value))
    if len(text) > _MAX_QUOTED:
        text = f"{text[:_MAX_QUOTED]}..."
    return f"'{text}'" if isinstance(value, str) else text


def printable(text: str) -> str:
    """Replace every character that could act on a terminal, one for one; tabs stay."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def hide_passwords(text: str) -> str:
    """Mask `user:password@` in URLs, keeping the length, so that carets still fit."""
    return _PASSWORD.sub(lambda match: match[1] + "*" * len(match[2]), text)


def listed(names: Iterable[object]) -> str:
    """Return `a, b, c`."""
    return ", ".join(str(name) for name in names)


def did_you_mean(given: str, allowed: Iterable[str]) -> str:
    """Return `; did you mean x?`, or nothing if no allowed name is close."""
    close = difflib.get_close_matches(given[:100].lower(), list(allowed), n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""
