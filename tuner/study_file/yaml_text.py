"""What every version of YAML reads as the same value."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

# What some version takes for something else than text.
WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"})

# Text that every YAML reads as the same text, of version 1.1 or 1.2.
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./:-]*[A-Za-z0-9_]|[A-Za-z]", re.ASCII)


def render_float(value: float) -> str:
    """With a point: YAML 1.1 takes 1e-05 for text, and no version reads `inf`."""
    if not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    mantissa, e, exponent = repr(value).partition("e")
    point = "" if "." in mantissa else ".0"
    return f"{mantissa}{point}{e}{exponent}"


def render_inline(value: Any) -> str:
    """A value in one line; mappings and lists in their braces."""
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
    """Text, in quotes if it could be read as something else."""
    if _PLAIN.fullmatch(text) and text.lower() not in WORDS:
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in quoted)
