"""Every trial by number, and the best value so far."""

import numpy as np

from tuner.results.board import Board
from tuner.results.figures.figure import MARKERS, Figure, Trace, escape_label
from tuner.results.figures.scale import ValueScale, find_scale
from tuner.results.figures.thinning import thin
from tuner.results.trial_table import COMPLETE, FAIL, PRUNED, RELEASED, RUNNING, Mask, TrialTable
from tuner.storage.reading.columns import STATES, Ints

_MAX_BEYOND = 150
_STRIP = 0.07  # of the height: trials without a value


def history_figure(board: Board) -> Figure:
    """Draw pruned trials faint, COMPLETE ones above them, the best ones joined by a line."""
    table = board.table
    if not len(table):
        return Figure(name="history", title="History", empty="no trial yet")
    complete = table.values[table.finite()]
    pruned = table.values[table.finite(PRUNED)]
    scale = find_scale(complete if len(complete) else pruned, board.minimize, pruned)
    traces, n_drawn, n_beyond = _points(board, scale)
    traces += _best_so_far(board)
    traces += _strip(table)
    axis = scale.axis(escape_label(board.study.metric))
    layout = {
        "xaxis": {"title": {"text": "trial"}, "range": _range(table), "anchor": "y2"},
        "yaxis": {**axis, "domain": [_STRIP + 0.05, 1.0]},
        "yaxis2": {"domain": [0.0, _STRIP], "range": [-0.5, 1.5], "fixedrange": True,
                   "showgrid": False, "zeroline": False, "showticklabels": False},
        "showlegend": True,
    }  # fmt: skip
    notes = []
    n_valued = int(table.finite().sum() + table.finite(PRUNED).sum())
    if n_drawn < n_valued:
        notes.append(f"{n_drawn:,} of {n_valued:,} points drawn: those that can be distinguished")
    if n_beyond:
        where = "above" if board.minimize else "below"
        notes.append(f"{n_beyond:,} {where} the axis, at its edge")
    return Figure(
        name="history",
        title="History",
        traces=traces,
        layout=layout,
        note="; ".join(notes),
        summary=_told(board),
    )


def _range(table: TrialTable) -> list[float]:
    margin = 0.01 * table.highest + 0.5
    return [float(table.numbers[0]) - margin, table.highest + margin]


def _told(board: Board) -> str:
    best = board.summary.best
    if best is None or best.value is None:
        return f"{len(board.table):,} trials, none complete"
    return (
        f"{len(board.table):,} trials; the best {board.study.metric} is {best.value:.5g} "
        f"of trial {best.number}"
    )


def _points(board: Board, scale: ValueScale) -> tuple[list[Trace], int, int]:
    table, traces, n_drawn, n_beyond = board.table, [], 0, 0
    best = set(board.best[:1])
    for code in (PRUNED, COMPLETE):
        places = np.flatnonzero(table.finite(code))
        shown = scale.clip(table.values[places])
        height = np.log10(shown) if scale.is_log else shown
        places = places[thin(table.numbers[places], height)]
        values = table.values[places]
        is_beyond = values > scale.high if board.minimize else values < scale.low
        n_drawn += len(places)
        n_beyond += int(is_beyond.sum())
        colour, shape = MARKERS[STATES[code]]
        is_faint = code == PRUNED
        inside, beyond = places[~is_beyond], places[is_beyond]
        if len(inside):
            traces.append({
                "type": "scatter", "mode": "markers", "name": STATES[code].lower(),
                "x": table.numbers[inside], "y": table.values[inside],
                "customdata": table.numbers[inside], "text": _hover(table, inside),
                "hovertemplate": "%{text}<extra></extra>",
                "marker": {
                    "color": colour, "symbol": shape, "size": 5 if is_faint else 6,
                    "opacity": 0.5 if is_faint else 0.85,
                    "line": {"width": 1.4 if is_faint else 0.5,
                             "color": colour if is_faint else "@paper"},
                },
            })  # fmt: skip
        if len(beyond):
            traces.append(_beyond(board, beyond, scale, colour, is_faint))
        if code == COMPLETE and best:
            traces += _star(board)
    return traces, n_drawn, n_beyond


def _beyond(board: Board, places: Ints, scale: ValueScale, colour: str, is_faint: bool) -> Trace:
    """Draw trials beyond the axis at its edge."""
    table = board.table
    places = places[thin(table.numbers[places], np.zeros(len(places)), _MAX_BEYOND)]
    edge = scale.high if board.minimize else scale.low
    return {
        "type": "scatter", "mode": "markers", "showlegend": False, "name": "beyond",
        "x": table.numbers[places], "y": [edge] * len(places),
        "customdata": table.numbers[places], "text": _hover(table, places),
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {"symbol": "triangle-up" if board.minimize else "triangle-down", "size": 5,
                   "color": colour, "opacity": 0.25 if is_faint else 0.7},
    }  # fmt: skip


def _star(board: Board) -> list[Trace]:
    best = board.summary.best
    if best is None or best.value is None:
        return []
    return [{
        "type": "scatter", "mode": "markers", "name": "best", "x": [best.number],
        "y": [best.value], "customdata": [best.number], "showlegend": False,
        "text": [f"best: trial {best.number}, {best.value:.5g}"],
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {"symbol": "star", "size": 13, "color": "@best",
                   "line": {"width": 1, "color": "@paper"}},
    }]  # fmt: skip


def _hover(table: TrialTable, places: Ints) -> list[str]:
    return [
        f"trial {number}: {value:.5g}, {steps} steps"
        for number, value, steps in zip(
            table.numbers[places].tolist(),
            table.values[places].tolist(),
            table.n_steps[places].tolist(),
            strict=True,
        )
    ]


def _best_so_far(board: Board) -> list[Trace]:
    """Draw it by number, as the points are; a trial with a higher number may have ended earlier."""
    table = board.table
    places = np.flatnonzero(table.finite())
    if not len(places):
        return []
    values = table.values[places]
    best = np.minimum.accumulate(values) if board.minimize else np.maximum.accumulate(values)
    steps = np.flatnonzero(np.diff(best, prepend=np.nan) != 0)
    x = [*table.numbers[places][steps].tolist(), table.highest]
    y = [*best[steps].tolist(), float(best[-1])]
    return [{
        "type": "scatter", "mode": "lines", "name": "best so far", "x": x, "y": y,
        "line": {"shape": "hv", "width": 2, "color": "@best"}, "hoverinfo": "skip",
    }]  # fmt: skip


def _strip(table: TrialTable) -> list[Trace]:
    """Draw trials without a value: failed and open ones."""
    traces: list[Trace] = []
    for codes, height in (((FAIL,), 0.0), ((RUNNING, RELEASED), 1.0)):
        mask: Mask = np.isin(table.states, codes)
        places = np.flatnonzero(mask)
        if not len(places):
            continue
        places = places[thin(table.numbers[places], np.zeros(len(places)), 400)]
        colour, shape = MARKERS[STATES[codes[0]]]
        traces.append({
            "type": "scatter", "mode": "markers", "name": STATES[codes[0]].lower(),
            "x": table.numbers[places], "y": [height] * len(places), "yaxis": "y2",
            "customdata": table.numbers[places],
            "hovertemplate": f"trial %{{x}}: {STATES[codes[0]].lower()}<extra></extra>",
            "marker": {"color": colour, "symbol": shape, "size": 6},
        })  # fmt: skip
    return traces
