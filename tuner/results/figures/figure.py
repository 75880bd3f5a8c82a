"""The type of figures: traces and a layout for plotly.js, in named colours.

A colour is `@name` or `@name/0.3`, which the page resolves for day and night.
"""

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tuner.study.secrets import redact
from tuner.study.trial import TrialState

Trace = dict[str, Any]
MARKERS = {  # state -> colour and shape: no state is shown by its colour alone
    TrialState.COMPLETE: ("@complete", "circle"),
    TrialState.PRUNED: ("@pruned", "line-ew-open"),
    TrialState.FAIL: ("@fail", "x"),
    TrialState.RUNNING: ("@running", "triangle-right"),
    TrialState.RELEASED: ("@released", "triangle-right-open"),
    TrialState.WAITING: ("@released", "square-open"),
}


@dataclass(frozen=True, kw_only=True)
class Figure:
    name: str
    title: str
    traces: Sequence[Trace] = ()
    layout: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""  # parts that are left out, shown on the page
    summary: str = ""  # a description for users who cannot see it
    empty: str = ""  # why there is nothing to draw; not empty: nothing is drawn

    def as_json(self) -> dict[str, Any]:
        """Return it for plotly.js: values that are not numbers become null."""
        return {
            "name": self.name,
            "title": self.title,
            "data": _plain(self.traces),
            "layout": _plain(self.layout),
            "note": self.note,
            "summary": self.summary,
            "empty": self.empty,
        }


def escape_label(text: object) -> str:
    """Escape text for a label or hover of plotly, which reads a subset of HTML."""
    shown = "".join(c if c.isprintable() else "\ufffd" for c in redact(str(text)))
    return html.escape(shown, quote=False)


def _plain(value: object) -> Any:
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return _rounded(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _rounded(value: float) -> float | None:
    """Round to seven digits, more than a screen shows; times keep their milliseconds."""
    if not math.isfinite(value):
        return None
    return value if abs(value) >= 1e9 or value.is_integer() else float(f"{value:.6g}")
