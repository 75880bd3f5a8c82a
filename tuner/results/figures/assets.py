"""What a page needs to draw figures: plotly.js as npm publishes it, its styles, our script."""

import gzip
from importlib import resources

# Bundles: "basic" draws all but the analysis page; "strict" has every kind of plot. Neither needs
# `unsafe-eval`. Stored compressed, as they are sent.
PLOTLY = {"basic": "plotly-basic.min.js", "strict": "plotly-strict.min.js"}


def read_packed(name: str) -> bytes:
    """A file of `static`, gzipped."""
    folder = resources.files("tuner.results.figures") / "static"
    packed = folder / f"{name}.gz"
    if packed.is_file():
        return packed.read_bytes()
    return gzip.compress((folder / name).read_bytes(), 9, mtime=0)


def read_text(name: str) -> str:
    """A file of `static` as text."""
    return gzip.decompress(read_packed(name)).decode()
