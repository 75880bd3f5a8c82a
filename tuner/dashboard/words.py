"""Text forms of values on pages."""

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from tuner.study.durations import render_seconds
from tuner.study.secrets import redact
from tuner.study_file.text.yaml_text import WORDS, render_float, render_readable


def clean(text: object) -> str:
    """Remove control characters and known passwords; a template escapes the rest."""
    return "".join(
        c if c in "\n\t" or unicodedata.category(c)[0] != "C" else "\ufffd"
        for c in redact(str(text)).replace("\r\n", "\n").replace("\r", "\n")
    )


def number(value: object) -> str:
    """Return a param or value in few characters."""
    if isinstance(value, bool) or value is None:
        return "-" if value is None else str(value).lower()
    if isinstance(value, float):
        if not math.isfinite(value):
            return str(value)
        return f"{value:.0f}" if value.is_integer() and abs(value) < 1e15 else f"{value:.5g}"
    if isinstance(value, int):
        return f"{value:,}"
    return exact(value)


def param(value: object) -> str:
    """Format like `number`, for a param: null is one of its values."""
    return "null" if value is None else number(value)


def exact(value: object) -> str:
    """Return a param with all digits."""
    is_missing = value == ""
    return clean("" if is_missing else render_readable(value))


def duration(seconds: float | None) -> str:
    return "-" if seconds is None else render_seconds(seconds)


def gib(n_bytes: int) -> str:
    """Format gibibytes: `0.41`, `76`."""
    return f"{n_bytes / 2**30:.2g}" if n_bytes < 10 * 2**30 else f"{n_bytes / 2**30:,.0f}"


def ago(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return "just now" if seconds < 2 else f"{duration(seconds)} ago"


def moment(at: datetime | None) -> str:
    """Return a time for the `time` element; the page shows it in local time."""
    return "" if at is None else at.astimezone(UTC).isoformat(timespec="seconds")


def clock(at: datetime | None) -> str:
    """Return a time for pages without a script."""
    return "-" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def plural(n: int, noun: str) -> str:
    """Return `1 trial`, `2 trials`."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def percent(part: float | None) -> str:
    """Return a part of a whole as a percentage."""
    return "-" if part is None else f"{part:.0%}"


def as_yaml(params: Mapping[str, object]) -> str:
    """Return params as an entry of `enqueue:` in a study file."""
    return "- {" + ", ".join(f"{_key(k)}: {_scalar(v)}" for k, v in params.items()) + "}"


_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*", re.ASCII)


def _key(name: str) -> str:
    is_plain = _PLAIN.fullmatch(name) and name.lower() not in WORDS
    return name if is_plain else _quoted(name)


def _scalar(value: object) -> str:
    if value is None or isinstance(value, bool):
        return exact(value)
    if isinstance(value, float):
        return render_float(value)
    return repr(value) if isinstance(value, int) else _quoted(str(value))


def _quoted(text: str) -> str:
    inner = clean(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{inner}"'


def spark_points(values: Sequence[float], width: float, height: float) -> str:
    """Return an SVG line of values, oldest first."""
    if len(values) < 2:
        return ""
    low, high = min(values), max(values)
    span = high - low or 1.0
    step = width / (len(values) - 1)
    return " ".join(
        f"{i * step:.1f},{1 + (height - 2) * (1 - (v - low) / span):.1f}"
        for i, v in enumerate(values)
    )
