"""Durations: `90s`, `30m`, `12h`, `1d12h`."""

import re

_DURATION = re.compile(
    r"(?:(?P<d>\d+)d)?(?:(?P<h>\d+)h)?(?:(?P<m>\d+)m)?(?:(?P<s>\d+(?:\.\d+)?)s)?", re.ASCII
)
_SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}


def parse_duration(text: str) -> float | None:
    """Return seconds; None if the text is not a duration."""
    match = _DURATION.fullmatch(text) if 0 < len(text) <= 40 else None
    if match is None:
        return None
    parts = match.groupdict()
    return float(sum(float(parts[unit]) * _SECONDS[unit] for unit in parts if parts[unit]))


def render_duration(seconds: float) -> str:
    """Return the text that `parse_duration` reads as these seconds."""
    rest, parts = seconds, []
    for unit in "dhm":
        n, rest = divmod(rest, _SECONDS[unit])
        parts.append(f"{n:.0f}{unit}" if n else "")
    if rest or not any(parts):
        parts.append(f"{rest:g}s")
    return "".join(parts)
