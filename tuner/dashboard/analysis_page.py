"""The page of Optuna's plots; the address names the plot."""

import json
from collections.abc import Sequence
from functools import partial

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response

from tuner.dashboard.guard import STRICT_BUNDLE_POLICY
from tuner.dashboard.serving import drawn_of, page
from tuner.errors import UsageError
from tuner.results.board import Board
from tuner.results.figures.analysis import MAX_PARAMS, PLOTS, analysis_figure
from tuner.results.figures.assets import PLOTLY
from tuner.results.figures.figure import Figure
from tuner.results.figures.matters import importance_figure
from tuner.results.importances import find_importances
from tuner.study_file.text.faults import listed, quote

_MAX_NARROW = 2
_ALL = (*PLOTS, "importance")
_DEFAULT_PARAMS = {"slice": 4, "contour": 2, "parallel": 8, "rank": 2}


async def analysis(request: Request) -> Response:
    """Show the form and an empty plot."""
    drawn = await drawn_of(request)
    plot, params = _asked(request, drawn.board)
    is_large = plot in ("contour", "parallel")  # kinds that the small bundle does not draw
    shown = page(
        "analysis.html",
        request,
        name=drawn.board.name,
        board=drawn.board,
        plot=plot,
        plots=_ALL,
        chosen=params,
        all_params=list(drawn.board.table.params),
        most=MAX_PARAMS.get(plot, 0),
        query=request.url.query,
        bundle=PLOTLY["strict" if is_large else "basic"],
    )
    if is_large:
        shown.headers["content-security-policy"] = STRICT_BUNDLE_POLICY
    return shown


async def analysis_plot(request: Request) -> Response:
    """Return the plot as JSON."""
    drawn = await drawn_of(request)
    plot, params = _asked(request, drawn.board)
    if request.query_params.get("narrow") and plot == "slice":
        params = params[:_MAX_NARROW]  # side by side, more would not be readable on a phone
    figure = await to_thread.run_sync(partial(_build, drawn.board, plot, params))
    body = json.dumps({"figures": {"analysis": figure.as_json()}}, allow_nan=False)
    return Response(body, media_type="application/json")


def _build(board: Board, plot: str, params: Sequence[str]) -> Figure:
    if plot == "importance":
        return importance_figure(board, find_importances(board.table, board.study.direction))
    return analysis_figure(board, plot, params)


def _asked(request: Request, board: Board) -> tuple[str, list[str]]:
    """Parse the request; raises `UsageError` for an unknown plot or param."""
    plot = request.query_params.get("plot", "slice")
    if plot not in _ALL:
        raise UsageError(f"no plot {quote(plot[:80])}; there are {listed(_ALL)}")
    params = [name for name in request.query_params.getlist("param") if name]
    for name in params:
        if name not in board.table.params:
            known = listed(list(board.table.params))
            raise UsageError(f"no parameter {quote(name[:80])}; the study searches {known}")
    return plot, params or _default(board, plot)


def _default(board: Board, plot: str) -> list[str]:
    """Return the most important params."""
    found = find_importances(board.table, board.study.direction)
    names = [p.name for p in found.params] if found else list(board.table.params)
    return names[: _DEFAULT_PARAMS.get(plot, 0)]
