"""`tuner report`: a study's figures and tables in one HTML file that needs no network."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tuner.results.board import Board, BoardReader
from tuner.results.figures.assets import PLOTLY, read_text
from tuner.results.figures.catalog import FigureMaker
from tuner.results.status import find_status
from tuner.storage.connections.connection import Database
from tuner.study.durations import render_seconds
from tuner.study.secrets import redact

_MAX_BEST = 10


@dataclass(frozen=True, kw_only=True)
class Report:
    """A written report."""

    name: str
    html: str
    n_trials: int


def build_report(database: Database, name: str) -> Report:
    """Build the report of the study as it is now; raises `NotFound`, `DatabaseError`."""
    board = BoardReader(name=name).read(database)
    return Report(name=name, html=render_report(board), n_trials=len(board.table))


def render_report(board: Board) -> str:
    """Render the whole page.

    Its policy allows its own scripts and styles, by hash, and nothing else: it loads nothing from
    anywhere.
    """
    figures = {name: figure.as_json() for name, figure in FigureMaker().make(board).items()}
    scripts = [read_text("figures.js"), read_text(PLOTLY["basic"]), read_text("report.js")]
    styles = [read_text("theme.css"), read_text("plotly.css"), read_text("report.css")]
    data = json.dumps(figures, allow_nan=False, separators=(",", ":"))
    scripts = [_inert(script) for script in scripts]
    policy = (
        f"default-src 'none'; script-src {_hashes(scripts)}; style-src {_hashes(styles)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    page = _environment().get_template("report.html")
    return page.render(
        policy=policy,
        board=board,
        summary=board.summary,
        status=find_status(board.summary),
        figures=list(figures.values()),
        confirmation=board.confirmation,
        best=_best_rows(board),
        params=list(board.table.params),
        made=datetime.now(UTC),
        scripts=[Markup(script) for script in scripts],
        styles=[Markup(style) for style in styles],
        # In a script element nothing is a tag but its end.
        data=Markup(redact(data).replace("<", "\\u003c")),
    )


def _best_rows(board: Board) -> list[Mapping[str, Any]]:
    table = board.table
    return [
        {
            "number": int(table.numbers[place]),
            "value": float(table.values[place]),
            "steps": int(table.n_steps[place]),
            "params": table.params_of(place),
        }
        for place in table.best_first(board.study.direction, _MAX_BEST)
    ]


def _inert(script: str) -> str:
    """Escape text that would end a script element early."""
    return re.sub(r"</(script)", r"<\\/\1", script, flags=re.IGNORECASE)


def _hashes(texts: list[str]) -> str:
    digests = (hashlib.sha256(text.encode()).digest() for text in texts)
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)


@cache
def _environment() -> Environment:
    env = Environment(
        loader=PackageLoader("tuner.export", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters["num"] = _number
    env.filters["clean"] = redact
    env.filters["duration"] = render_seconds
    return env


def _number(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return "-" if value is None else str(value).lower()
    if isinstance(value, float):
        return f"{value:.5g}"
    return f"{value:,}" if isinstance(value, int) else redact(str(value))
