"""Files for figures on a page: plotly.js as npm publishes it, its styles, tuner's script."""

import gzip
from importlib import resources

# Bundles: "basic" draws all but the analysis page; "strict" has every kind of plot. Neither needs
# `unsafe-eval`. Stored compressed, as they are sent. Version 4.1.1 of plotly.js-basic-dist-min and
# plotly.js-strict-dist-min, MIT (plotly-LICENSE.txt); `plotly.css` has the styles that they would
# otherwise write into the page, which the content policy refuses.
PLOTLY = {"basic": "plotly-basic.min.js", "strict": "plotly-strict.min.js"}
SHA256 = {  # as npm publishes them
    "plotly-basic.min.js": "99784e3abfb07b142a15e521a439e6d9addceadb3f79553fd24c72774f0649ba",
    "plotly-strict.min.js": "4ac841837b31c1bfd2ab140e3a248ddcc6c2106978fbf2c1c18a7aada930a37a",
}


def read_packed(name: str) -> bytes:
    """Return a file of `static`, gzipped."""
    folder = resources.files("tuner.results.figures") / "static"
    packed = folder / f"{name}.gz"
    if packed.is_file():
        return packed.read_bytes()
    return gzip.compress((folder / name).read_bytes(), 9, mtime=0)


def read_text(name: str) -> str:
    """Return a file of `static` as text."""
    return gzip.decompress(read_packed(name)).decode()
