"""JSON that every program reads: numbers that are not finite are null, passwords redacted."""

import json
import math
from collections.abc import Mapping

from tuner.study.secrets import redact


def render_json(value: object, indent: int | None = None) -> str:
    """Render strict JSON; Python's own would write NaN and Infinity, which JSON lacks."""
    return json.dumps(_finite(value), indent=indent, allow_nan=False)


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
