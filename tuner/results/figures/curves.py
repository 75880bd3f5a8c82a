"""Learning curves: the best, those in training, and the range of the others."""

from collections.abc import Sequence
from itertools import islice

import numpy as np

from tuner.results.board import N_BEST, Board
from tuner.results.figures.figure import Figure, Trace, escape_label
from tuner.results.figures.scale import ValueScale, find_scale
from tuner.results.figures.thinning import thin
from tuner.results.trial_table import PRUNED, RUNNING
from tuner.search.catalog import build_pruner
from tuner.storage.reading.columns import Curve, Floats, Ints
from tuner.study_file.model import StudySpec

_MAX_RUNGS = 12
_MIN_CURVES = 5  # fewest trials for a meaningful quantile


def curves_figure(board: Board) -> Figure:
    """Draw the best 20, the best one thick, the running ones, the band and the pruned ends."""
    if not board.curves:
        return Figure(name="curves", title="Learning curves", empty="nothing reported yet")
    sampled = [board.curves[n] for n in board.sample if n in board.curves]
    scale = _scale(board)
    traces = [
        *band_traces(sampled),
        *_pruned_ends(board, scale),
        *_lines(board, board.best[1:N_BEST], f"best {len(board.best)}", "@complete/0.45", 1.0),
        *_lines(board, _running(board), "running", "@running", 1.4),
        *_lines(board, board.best[:1], "best", "@best", 2.4),
    ]  # fmt: skip
    rungs = find_rungs(board.spec)
    layout = {
        "xaxis": {"title": {"text": board.summary.step_noun}, "rangemode": "tozero"},
        "yaxis": scale.axis(escape_label(board.study.metric)),
        "shapes": [
            {"type": "line", "x0": rung, "x1": rung, "yref": "paper", "y0": 0, "y1": 1,
             "layer": "below", "line": {"color": "@rung", "width": 1, "dash": "dot"}}
            for rung in rungs
        ],
        "showlegend": True,
    }  # fmt: skip
    notes = []
    if len(board.sample) < board.n_sampled:
        notes.append(f"band: {len(board.sample):,} of {board.n_sampled:,} trials")
    if rungs:
        notes.append(f"dotted: the pruner looks ({', '.join(map(str, rungs))})")
    return Figure(
        name="curves",
        title="Learning curves",
        traces=traces,
        layout=layout,
        note="; ".join(notes),
        summary=f"the best {len(board.best)} of {len(board.table):,} trials by "
        f"{board.summary.step_noun}, {len(_running(board))} in training",
    )


def _scale(board: Board) -> ValueScale:
    """Return the range of the good curves, without first reports, which are outliers."""
    shown = [board.curves[n] for n in board.best if n in board.curves]
    shown = shown or list(board.curves.values())
    values = np.concatenate([curve.values[min(1, len(curve.values) - 1) :] for curve in shown])
    ends = board.table.values[board.table.finite(PRUNED)]
    return find_scale(values, board.minimize, ends)


def find_rungs(spec: StudySpec) -> list[int]:
    """Return the steps at which the study's pruner compares, if they are few."""
    schedule = build_pruner(spec).schedule(0, spec.n_steps)
    most = spec.n_steps or 10_000
    rungs = [step for run in schedule.runs for step in islice(run, _MAX_RUNGS + 1)]
    rungs = sorted({rung for rung in rungs if rung <= most})
    return rungs if len(rungs) <= _MAX_RUNGS else []


def band_traces(curves: Sequence[Curve]) -> list[Trace]:
    """Return the median and the 10-90 % band of the curves that got there."""
    steps, low, middle, high = band(curves)
    if not len(steps):
        return []
    return [
        {"type": "scatter", "mode": "lines", "x": steps, "y": high, "line": {"width": 0},
         "hoverinfo": "skip", "showlegend": False},
        {"type": "scatter", "mode": "lines", "x": steps, "y": low, "line": {"width": 0},
         "fill": "tonexty", "fillcolor": "@band", "hoverinfo": "skip", "name": "10-90 %"},
        {"type": "scatter", "mode": "lines", "x": steps, "y": middle, "name": "median",
         "line": {"color": "@median", "width": 1.5, "dash": "dash"},
         "hovertemplate": "median %{y:.5g}<extra></extra>"},
    ]  # fmt: skip


def band(curves: Sequence[Curve]) -> tuple[Ints, Floats, Floats, Floats]:
    """Return steps with the 10, 50 and 90 % quantiles of the curves that reported there."""
    nothing = np.empty(0)
    if not curves:
        return np.empty(0, np.int64), nothing, nothing, nothing
    steps = np.concatenate([curve.steps for curve in curves])
    values = np.concatenate([curve.values for curve in curves])
    order = np.lexsort((values, steps))
    steps, values = steps[order], values[order]
    found, starts, counts = np.unique(steps, return_index=True, return_counts=True)
    enough = counts >= min(_MIN_CURVES, len(curves))
    found, starts, counts = found[enough], starts[enough], counts[enough]
    low, middle, high = (
        values[starts + np.round(q * (counts - 1)).astype(np.int64)] for q in (0.1, 0.5, 0.9)
    )
    return found, low, middle, high


def _running(board: Board) -> list[int]:
    table = board.table
    numbers: list[int] = table.numbers[table.states == RUNNING].tolist()
    return [n for n in numbers if n in board.curves]


def _lines(
    board: Board, numbers: Sequence[int], name: str, colour: str, width: float
) -> list[Trace]:
    """Draw many curves as one trace, with gaps: plotly draws a hundred of these as fast as one."""
    x: list[float | None] = []
    y: list[float | None] = []
    which: list[int | None] = []
    for number in numbers:
        curve = board.curves.get(number)
        if curve is not None and len(curve.steps):
            x += [*curve.steps.tolist(), None]
            y += [*curve.values.tolist(), None]
            which += [*[number] * len(curve.steps), None]
    if not x:
        return []
    return [{
        "type": "scatter", "mode": "lines", "name": name, "x": x, "y": y, "customdata": which,
        "connectgaps": False, "line": {"color": colour, "width": width},
        "hovertemplate": "trial %{customdata}: %{y:.5g} at %{x}<extra></extra>",
    }]  # fmt: skip


def _pruned_ends(board: Board, scale: ValueScale) -> list[Trace]:
    """Draw the last points of pruned trials, faint."""
    table = board.table
    places = np.flatnonzero(table.finite(PRUNED))
    inside = (table.values[places] <= scale.high) & (table.values[places] >= scale.low)
    places = places[inside]
    if not len(places):
        return []
    places = places[thin(table.n_steps[places], table.values[places], 500)]
    return [{
        "type": "scatter", "mode": "markers", "name": "pruned",
        "x": table.n_steps[places], "y": table.values[places],
        "customdata": table.numbers[places],
        "hovertemplate": "trial %{customdata}: pruned at %{x}, %{y:.5g}<extra></extra>",
        "marker": {"symbol": "line-ew-open", "size": 5, "opacity": 0.4, "color": "@pruned",
                   "line": {"width": 1.2, "color": "@pruned"}},
    }]  # fmt: skip
