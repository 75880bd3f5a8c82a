"""Static files, read once, sent compressed; their address contains their version."""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from tuner.results.figures.assets import PLOTLY, read_packed

_TYPES = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8",
          "svg": "image/svg+xml"}  # fmt: skip
_OWN = ("board.js", "page.js", "pages.css", "print.css", "icon.svg")
_SHARED = ("figures.js", "theme.css", "plotly.css", *PLOTLY.values())


@dataclass(frozen=True, kw_only=True)
class Asset:
    packed: bytes  # gzip
    kind: str  # its content type


@dataclass(frozen=True, kw_only=True)
class Assets:
    """All static files."""

    files: Mapping[str, Asset]
    version: str


@cache
def all_assets() -> Assets:
    own = resources.files("tuner.dashboard") / "static"
    packed = {name: gzip.compress((own / name).read_bytes(), 9, mtime=0) for name in _OWN}
    packed |= {name: read_packed(name) for name in _SHARED}
    files = {
        name: Asset(packed=content, kind=_TYPES[name.rpartition(".")[2]])
        for name, content in packed.items()
    }
    total = hashlib.sha256(b"".join(asset.packed for asset in files.values()))
    return Assets(files=files, version=total.hexdigest()[:12])
