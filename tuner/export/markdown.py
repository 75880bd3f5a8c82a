"""Text from anywhere as part of a Markdown page: it is shown, and acts on nothing."""

import re

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def plain(value: object) -> str:
    """Remove characters that act on a terminal or in a page."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", str(value)).replace("<", "&lt;")


def cell(value: object) -> str:
    """Return the text of a cell of a table."""
    return plain(value).replace("|", "\\|")


def python_literal(value: object) -> str:
    """Return Python code of a value that can stand in a block of code."""
    return repr(value).replace("`", "\\x60")
