"""Training against validation, by step, for the best trials."""

import numpy as np

from tuner.results.board import Board
from tuner.results.figures.figure import Figure, Trace, escape_label
from tuner.results.figures.scale import find_scale

_N_TRIALS = 3
_COLOURS = ("@best", "@complete", "@running")


def overfitting_figure(board: Board) -> Figure:
    """Draw two lines per trial, whose gap shows overfitting."""
    numbers = [n for n in board.best if n in board.training and n in board.curves][:_N_TRIALS]
    if not numbers:
        metric = board.study.metric
        wanted = f"train_{metric.removeprefix('val_')}"
        why = "no complete trial yet" if not board.best else f"no trial reports {wanted}"
        return Figure(name="overfitting", title="Overfitting", empty=why)
    traces: list[Trace] = []
    values = []
    for number, colour in zip(numbers, _COLOURS, strict=False):
        for curve, dash, what in (
            (board.curves[number], "solid", board.study.metric),
            (board.training[number], "dot", board.training_metric or ""),
        ):
            traces.append({
                "type": "scatter", "mode": "lines",
                "name": f"trial {number}", "legendgroup": str(number),
                "showlegend": dash == "solid",
                "x": curve.steps, "y": curve.values, "customdata": [number] * len(curve.steps),
                "line": {"color": colour, "dash": dash, "width": 1.8 if dash == "solid" else 1.6},
                "hovertemplate": f"trial {number}, {escape_label(what)}: %{{y:.4g}}<extra></extra>",
            })  # fmt: skip
            values.append(curve.values)
    scale = find_scale(np.concatenate(values), board.minimize)
    return Figure(
        name="overfitting",
        title="Overfitting",
        traces=traces,
        layout={
            "xaxis": {"title": {"text": board.summary.step_noun}, "rangemode": "tozero"},
            "yaxis": scale.axis(""),
            "showlegend": True,
        },
        note=f"solid: {board.study.metric}, dotted: {board.training_metric}",
        summary=f"training and validation by {board.summary.step_noun} of the best "
        f"{len(numbers)} trials",
    )
