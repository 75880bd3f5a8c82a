"""One trial's curve against all others'."""

from collections.abc import Sequence

import numpy as np

from tuner.results.board import Board
from tuner.results.figures.curves import band_traces, find_rungs
from tuner.results.figures.figure import Figure, Trace, escape_label
from tuner.results.figures.scale import find_scale
from tuner.results.trial_page import TrialPage
from tuner.storage.reading.columns import Curve
from tuner.storage.reading.trials import DecisionRow


def trial_figure(board: Board, page: TrialPage, training: Curve | None) -> Figure:
    """Draw its curve, the best trial's, the band, and the pruner's decisions."""
    number = page.trial.number
    if not page.curve:
        yet = "" if page.trial.state.is_final else " yet"
        return Figure(name="trial", title="Curve", empty=f"this trial has reported nothing{yet}")
    steps = np.array(list(page.curve), np.int64)
    values = np.array(list(page.curve.values()), np.float64)
    best = next((n for n in board.best[:1] if n in board.curves and n != number), None)
    shown = [values] if best is None else [values, board.curves[best].values]
    scale = find_scale(np.concatenate(shown), board.minimize)
    sampled = [board.curves[n] for n in board.sample if n in board.curves and n != number]
    traces: list[Trace] = [*band_traces(sampled)]
    if best is not None:
        curve = board.curves[best]
        traces.append(_line(f"best (trial {best})", curve.steps, curve.values, "@best", 1.6, best))
    if training is not None and len(training.steps):
        name = escape_label(board.training_metric or "training")
        traces.append(_line(name, training.steps, training.values, "@complete/0.7", 1.4, number))
        traces[-1]["line"]["dash"] = "dot"
    traces.append(_line(f"trial {number}", steps, values, "@complete", 2.6, number))
    traces += _decisions(page.decisions, page.curve)
    return Figure(
        name="trial",
        title="Curve",
        traces=traces,
        layout={
            "xaxis": {"title": {"text": page.step_noun}, "rangemode": "tozero"},
            "yaxis": scale.axis(escape_label(page.study.metric)),
            "shapes": [
                {"type": "line", "x0": rung, "x1": rung, "yref": "paper", "y0": 0, "y1": 1,
                 "layer": "below", "line": {"color": "@rung", "width": 1, "dash": "dot"}}
                for rung in find_rungs(board.spec)
            ],
            "showlegend": True,
        },
        note=f"band: 10-90 % of {len(sampled):,} trials" if sampled else "",
        summary=f"trial {number} reported {len(values)} times, the last one {values[-1]:.5g}",
    )  # fmt: skip


def _line(
    name: str, steps: object, values: object, colour: str, width: float, number: int
) -> Trace:
    return {
        "type": "scatter", "mode": "lines", "name": name, "x": steps, "y": values,
        "line": {"color": colour, "width": width},
        "hovertemplate": f"{name}: %{{y:.5g}} at %{{x}}<extra></extra>",
    }  # fmt: skip


def _decisions(decisions: Sequence[DecisionRow], curve: object) -> list[Trace]:
    """Draw a mark at each decision, with its reason."""
    assert isinstance(curve, dict)
    known = [d for d in decisions if d.step in curve]
    if not known:
        return []
    return [{
        "type": "scatter", "mode": "markers", "name": "pruner",
        "x": [d.step for d in known], "y": [curve[d.step] for d in known],
        "text": [escape_label(f"{d.word}: {d.reason}") for d in known],
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {
            "size": 10, "line": {"width": 2, "color": "@pruned"}, "color": "@pruned",
            "symbol": ["x" if d.action == "prune" else "circle-open" for d in known],
        },
    }]  # fmt: skip
