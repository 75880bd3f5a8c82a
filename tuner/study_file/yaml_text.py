"""What every version of YAML reads as the same value."""

import math

# What some version takes for something else than text.
WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"})


def render_float(value: float) -> str:
    """With a point: YAML 1.1 takes 1e-05 for text, and no version reads `inf`."""
    if not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    mantissa, e, exponent = repr(value).partition("e")
    point = "" if "." in mantissa else ".0"
    return f"{mantissa}{point}{e}{exponent}"
