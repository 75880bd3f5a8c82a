"""The importance of params, and slices through the most important ones."""

import math
from collections.abc import Sequence

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from tuner.results.board import Board
from tuner.results.figures.figure import Figure, Trace, escape_label
from tuner.results.figures.scale import ValueScale, find_scale
from tuner.results.figures.thinning import thin
from tuner.results.importances import MIN_TRIALS, Importances
from tuner.results.trial_table import PRUNED, TrialTable
from tuner.storage.reading.columns import Floats, Ints
from tuner.study_file.text.yaml_text import render_readable

N_SLICES = 3
_MAX_BARS = 8
_BEST_PART = 0.1  # of COMPLETE trials: the region of the best ones


def importance_figure(board: Board, importances: Importances | None) -> Figure:
    """Draw the importances by PED-ANOVA as bars."""
    if importances is None:
        return Figure(name="importance", title="What matters", empty=_why_empty(board.table))
    shown = list(reversed(importances.params[:_MAX_BARS]))
    shares = [param.share for param in shown]
    names = [_cut(param.name) for param in shown]
    note = f"PED-ANOVA over {importances.n_complete:,} complete trials"
    return Figure(
        name="importance",
        title="What matters",
        traces=[{
            "type": "bar", "orientation": "h", "x": shares, "y": list(range(len(names))),
            "text": [f"{share:.0%}" for share in shares], "textposition": "outside",
            "cliponaxis": False, "marker": {"color": "@complete"},
            "hovertext": [escape_label(p.name) for p in shown],
            "hovertemplate": "%{hovertext}: %{x:.1%}<extra></extra>",
        }],
        layout={
            "xaxis": {"visible": False, "range": [0, max(shares) * 1.25]},
            "yaxis": {"tickmode": "array", "tickvals": list(range(len(names))),
                      "ticktext": names, "automargin": True, "showgrid": False},
            "bargap": 0.35,
        },
        note=note,
        summary=", ".join(f"{p.name} {p.share:.0%}" for p in importances.params[:_MAX_BARS]),
    )  # fmt: skip


def _why_empty(table: TrialTable) -> str:
    values = table.values[table.finite()]
    if len(values) < MIN_TRIALS:
        return f"needs {MIN_TRIALS} complete trials, has {len(values)}"
    if values.min() == values.max():
        return "all values are equal"
    return "no param sets the best trials apart"


def _cut(name: str) -> str:
    return escape_label(name if len(name) <= 16 else f"{name[:15]}…")


def slices_figure(board: Board, importances: Importances | None) -> Figure:
    """Draw value over param for the most important ones; the region of the best tenth is shaded."""
    table = board.table
    names = [param.name for param in importances.params] if importances else list(table.params)
    names = names[:N_SLICES]
    complete = table.values[table.finite()]
    if not names or not len(complete):
        return Figure(name="slices", title="Slices", empty="no complete trial yet")
    scale = find_scale(complete, board.minimize, table.values[table.finite(PRUNED)])
    traces: list[Trace] = []
    layout: dict[str, object] = {"showlegend": False}
    shapes: list[dict[str, object]] = []
    told = []
    width = 1.0 / len(names)
    for place, name in enumerate(names):
        key = "" if place == 0 else str(place + 1)
        axis, points = _slice(table, name, scale, board.minimize)
        for trace in points:
            traces.append({**trace, "xaxis": f"x{key}", "yaxis": f"y{key}"})
        layout[f"xaxis{key}"] = {
            **axis,
            "domain": [place * width + (0.04 if place else 0.0), (place + 1) * width],
            "title": {"text": _cut(name), "standoff": 4},
            "anchor": f"y{key}",
            "nticks": 4,
            "tickangle": 0,
        }
        layout[f"yaxis{key}"] = {
            **scale.axis("" if place else escape_label(board.study.metric)),
            "anchor": f"x{key}",
            "showticklabels": place == 0,
        } | ({"matches": "y"} if place else {})
        region = best_region(table, name, board.minimize)
        if region is not None:
            shapes.append(_shade(region, key))
            told.append(f"{name}: best tenth from {region[0]:.4g} to {region[1]:.4g}")
    layout["shapes"] = shapes
    return Figure(
        name="slices",
        title="Slices",
        traces=traces,
        layout=layout,
        note="shaded: where the best tenth lies" if shapes else "",
        summary="; ".join(told),
    )


def _shade(region: tuple[float, float], key: str) -> dict[str, object]:
    return {
        "type": "rect", "xref": f"x{key}", "x0": region[0], "x1": region[1],
        "yref": f"y{key} domain", "y0": 0, "y1": 1, "layer": "below",
        "line": {"width": 0}, "fillcolor": "@best/0.16",
    }  # fmt: skip


def _axis(kind: BaseDistribution) -> dict[str, object]:
    """Return an axis with the whole range of a parameter."""
    if isinstance(kind, CategoricalDistribution):
        return {
            "tickmode": "array", "tickvals": list(range(len(kind.choices))),
            "ticktext": [_cut(render_readable(c)) for c in kind.choices],
            "range": [-0.5, len(kind.choices) - 0.5],
        }  # fmt: skip
    assert isinstance(kind, FloatDistribution | IntDistribution)
    low, high = float(kind.low), float(kind.high)
    if kind.log:
        low, high = math.log10(low), math.log10(high)
    margin = 0.04 * (high - low) or 0.5
    axis: dict[str, object] = {"range": [low - margin, high + margin]}
    if kind.log:
        axis |= {"type": "log", "dtick": max(1, math.ceil((high - low) / 2.5))}
    return axis


def _slice(
    table: TrialTable, name: str, scale: ValueScale, minimize: bool
) -> tuple[dict[str, object], list[Trace]]:
    param = table.params[name]
    axis = _axis(param.kind)
    is_log = axis.get("type") == "log"
    choices = param.kind.choices if isinstance(param.kind, CategoricalDistribution) else None
    traces = []
    for state, colour, shape, opacity in (
        (PRUNED, "@pruned", "line-ew-open", 0.35),
        (0, "@complete", "circle", 0.7),
    ):
        is_shown = table.finite(state) & np.isfinite(param.values)
        if state == PRUNED:  # trials beyond the axis are irrelevant to the best region
            is_shown &= (table.values >= scale.low) & (table.values <= scale.high)
        places = np.flatnonzero(is_shown)
        if not len(places):
            continue
        x = param.values[places]
        y = scale.clip(table.values[places])
        kept = thin(np.log(x) if is_log else x, np.log(y) if scale.is_log else y, 350)
        places, x, y = places[kept], x[kept], y[kept]
        x = _jittered(x, table.numbers[places], choices)
        traces.append(_points(table, places, x, y, colour, shape, opacity))
    return axis, traces


def _jittered(x: Floats, numbers: Ints, choices: Sequence[object] | None) -> Floats:
    """Spread choices so that points do not overlap; a trial always has the same position."""
    if choices is None:
        return x
    return x + ((numbers * 2654435761) % 1000 / 1000 - 0.5) * 0.5


def _points(
    table: TrialTable, places: Ints, x: Floats, y: Floats, colour: str, shape: str, opacity: float
) -> Trace:
    return {
        "type": "scatter", "mode": "markers", "x": x, "y": y,
        "customdata": table.numbers[places],
        "hovertemplate": "trial %{customdata}: %{y:.5g} at %{x:.4g}<extra></extra>",
        "marker": {"color": colour, "symbol": shape, "size": 4, "opacity": opacity,
                   "line": {"width": 1 if shape.endswith("open") else 0, "color": colour}},
    }  # fmt: skip


def best_region(table: TrialTable, name: str, minimize: bool) -> tuple[float, float] | None:
    """Return the region of the best tenth of COMPLETE trials, without tails; None for choices."""
    param = table.params[name]
    if hasattr(param.kind, "choices"):
        return None
    places = np.flatnonzero(table.finite() & np.isfinite(param.values))
    if len(places) < MIN_TRIALS:
        return None
    order = np.argsort(table.values[places] if minimize else -table.values[places], kind="stable")
    best = param.values[places[order[: max(5, int(len(places) * _BEST_PART))]]]
    return float(np.quantile(best, 0.1)), float(np.quantile(best, 0.9))
