"""The page of a final training: curves, and a confusion matrix or the residuals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import plotly.graph_objects as go
import plotly.io

from tuner.study.trial import Values

_LOSSES = ("train_loss", "val_loss")


@dataclass(frozen=True, kw_only=True)
class FinalPage:
    """The data of the page."""

    title: str
    metric: str
    curve: Mapping[int, Values]  # by step
    best_step: int | None  # of the delivered weights; None: not of this curve
    classes: Sequence[str] = ()
    confusion: Sequence[Sequence[int]] = ()  # [true class][predicted class]
    targets: Sequence[float] = ()
    predictions: Sequence[float] = ()


def render_final_page(page: FinalPage) -> str:
    """Render one file that needs no network."""
    figures = [draw_curves(page)]
    if page.confusion:
        figures.append(draw_confusion(page))
    if page.targets:
        figures.append(draw_residuals(page))
    parts = [
        plotly.io.to_html(figure, full_html=False, include_plotlyjs=place == 0)
        for place, figure in enumerate(figures)
    ]
    title = escape(page.title)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{title}</title></head>\n<body><h1>{title}</h1>\n"
        + "\n".join(parts)
        + "</body></html>\n"
    )


def draw_curves(page: FinalPage) -> go.Figure:
    """Draw losses and the study's metric by step."""
    steps = sorted(page.curve)
    names = [n for n in (*_LOSSES, page.metric) if any(n in page.curve[s] for s in steps)]
    figure = go.Figure()
    for name in dict.fromkeys(names):
        values = [page.curve[step].get(name) for step in steps]
        figure.add_scatter(x=steps, y=values, mode="lines+markers", name=escape(name))
    if page.best_step is not None:
        figure.add_vline(
            x=page.best_step, line_dash="dot", annotation_text=f"delivered: {page.best_step}"
        )
    figure.update_layout(xaxis_title="step", yaxis_title="value", title="training")
    return figure


def draw_confusion(page: FinalPage) -> go.Figure:
    """Draw rows of the test split by their true and their predicted class."""
    names = [escape(name) for name in page.classes]
    figure = go.Figure(
        go.Heatmap(
            z=page.confusion,
            x=names,
            y=names,
            texttemplate="%{z}",
            colorscale="Blues",
            hovertemplate="true %{y}, predicted %{x}: %{z}<extra></extra>",
        )
    )
    figure.update_xaxes(title="predicted", type="category")
    figure.update_yaxes(title="true", type="category", autorange="reversed")
    figure.update_layout(title="test split", width=640, height=600)
    return figure


def draw_residuals(page: FinalPage) -> go.Figure:
    """Draw the prediction's error for each row of the test split."""
    pairs = zip(page.targets, page.predictions, strict=True)
    residuals = [target - predicted for target, predicted in pairs]
    figure = go.Figure()
    figure.add_scatter(x=list(page.predictions), y=residuals, mode="markers", name="rows")
    figure.add_hline(y=0, line_dash="dot")
    figure.update_layout(
        title="test split", xaxis_title="predicted", yaxis_title="target minus prediction"
    )
    return figure
