"""Values as text in YAML: the meaning of a plain scalar, and the form of a value."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tuner.study.trial import ParamValue

# Text that some version reads as another value.
WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"})

_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL: dict[str, ParamValue] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_GROUPED = re.compile(r"[-+]?[0-9]+(_[0-9]+)+[0-9.eE+-]*")  # 1_000

# Values as Python and YAML 1.1 write them, which YAML 1.2 reads as text.
_MEANT = {
    **dict.fromkeys(("y", "yes", "on", "true"), "true"),
    **dict.fromkeys(("n", "no", "off", "false"), "false"),
}

# Text that every YAML reads as the same text, of version 1.1 or 1.2.
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./:-]*[A-Za-z0-9_]|[A-Za-z]", re.ASCII)


def core_value(text: str) -> ParamValue:
    """Return the meaning of a plain scalar by the core schema (yaml.org/spec/1.2.2, 10.3.2)."""
    if text in _SPECIAL:
        return _SPECIAL[text]
    if _INT.fullmatch(text):
        return int(text)
    if _OCTAL.fullmatch(text):
        return int(text[2:], 8)
    if _HEX.fullmatch(text):
        return int(text[2:], 16)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def is_number(text: str) -> bool:
    """Return whether the core schema reads a plain scalar as a finite number."""
    return any(pattern.fullmatch(text) for pattern in (_INT, _OCTAL, _HEX, _FLOAT))


def meant_value(text: str) -> str:
    """Return the value that plain text was probably meant as, in YAML 1.2's form; empty if none."""
    if text in _SPECIAL or is_number(text):
        return ""
    if text == "None":
        return "null"
    if _GROUPED.fullmatch(text) and is_number(number := text.replace("_", "")):
        return number
    return _MEANT.get(text.lower(), "")


def render_float(value: float) -> str:
    """Write it with a point: YAML 1.1 takes 1e-05 for text, and no version reads `inf`."""
    if not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    mantissa, e, exponent = repr(value).partition("e")
    point = "" if "." in mantissa else ".0"
    return f"{mantissa}{point}{e}{exponent}"


def render_inline(value: Any) -> str:
    """Write a value in one line; mappings and lists in their braces."""
    match value:
        case Mapping():
            parts = [f"{render_text(str(k))}: {render_inline(v)}" for k, v in value.items()]
            return f"{{{', '.join(parts)}}}"
        case str():
            return render_text(value)
        case Sequence():
            return f"[{', '.join(map(render_inline, value))}]"
        case None | bool():
            return {None: "null", True: "true", False: "false"}[value]
        case float():
            return render_float(value)
        case _:
            return str(value)


def render_text(text: str) -> str:
    """Write text, in quotes if it could be read as another value."""
    if _PLAIN.fullmatch(text) and text.lower() not in WORDS:
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in quoted)


def render_readable(value: object) -> str:
    """Write a value for a table: text is in quotes only if YAML 1.2 would read another value."""
    if value is None or isinstance(value, bool):
        return render_inline(value)
    if not isinstance(value, str):
        return str(value)
    is_itself = value not in _SPECIAL and not is_number(value) and value[:1] not in "'\""
    return value if is_itself and value == value.strip() else json.dumps(value, ensure_ascii=False)
