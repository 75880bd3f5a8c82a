"""Optuna's own plots on a stated sample, with every label escaped."""

import json
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optuna

from tuner.results.board import Board
from tuner.results.figures.figure import Figure, escape_label
from tuner.results.trial_table import TrialTable
from tuner.study.trial import Direction, ParamValue

PLOTS = ("slice", "contour", "parallel", "rank", "edf")
MAX_TRIALS = 500
MAX_PARAMS = {"slice": 8, "contour": 3, "parallel": 8, "rank": 3, "edf": 0}
_TITLES = {
    "slice": "Slice",
    "contour": "Contour",
    "parallel": "Parallel coordinates",
    "rank": "Rank",
    "edf": "Distribution of values (EDF)",
}


def analysis_figure(board: Board, plot: str, params: Sequence[str]) -> Figure:
    """Return one of `PLOTS` for these params."""
    title = _TITLES[plot]
    n_complete = int(board.table.finite().sum())
    names = list(params)[: MAX_PARAMS[plot]]
    least = 2 if plot in ("contour", "parallel", "rank") else 1
    if n_complete < 2:
        return Figure(name=plot, title=title, empty="needs two complete trials")
    if MAX_PARAMS[plot] and len(names) < least:
        needed = "two params" if least == 2 else "a param"
        return Figure(name=plot, title=title, empty=f"choose {needed}")
    study, n_used = stock_study(board.table, board.study.direction, MAX_TRIALS)
    try:
        drawn = _draw(plot, study, names, board.study.metric)
    except (ValueError, ArithmeticError):  # for values such as 1e308 and -1e308
        return Figure(name=plot, title=title, empty="these values are too far apart for Optuna")
    note = "optuna.visualization"
    if n_used < n_complete:
        note += f", {n_used:,} of {n_complete:,} complete trials"
    return Figure(
        name=plot,
        title=title,
        traces=_painted(drawn["data"]),
        layout=_layout(drawn["layout"]),
        note=note,
        summary=f"{title.lower()} of {', '.join(names) or board.study.metric} "
        f"over {n_used:,} complete trials",
    )


def _draw(plot: str, study: optuna.Study, names: list[str], metric: str) -> dict[str, Any]:
    import optuna.visualization as stock  # noqa: PLC0415 - plotly, for this page alone

    kinds: dict[str, Callable[[], Any]] = {
        "slice": lambda: stock.plot_slice(study, params=names, target_name=metric),
        "contour": lambda: stock.plot_contour(study, params=names, target_name=metric),
        "parallel": lambda: stock.plot_parallel_coordinate(study, params=names, target_name=metric),
        "rank": lambda: stock.plot_rank(study, params=names, target_name=metric),
        "edf": lambda: stock.plot_edf(study, target_name=metric),
    }
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            drawn: dict[str, Any] = json.loads(kinds[plot]().to_json())
    finally:
        optuna.logging.set_verbosity(level)
    escaped: dict[str, Any] = _escaped(drawn)
    return escaped


def _escaped(value: Any) -> Any:
    """Escape every text; the line breaks that Optuna itself writes into hovers stay."""
    if isinstance(value, str):
        return escape_label(value).replace("&lt;br&gt;", "<br>")
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    return value


def _painted(traces: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for trace in traces:
        bar = trace.get("marker", {}).get("colorbar")
        if bar:
            bar |= {"thickness": 10, "outlinewidth": 0}
        if trace.get("type") == "parcoords":
            trace["labelangle"] = 0
            trace["line"]["colorbar"] = {"thickness": 10, "outlinewidth": 0}
        if trace.get("mode") == "lines" and "line" not in trace:
            trace["line"] = {"color": "@complete", "width": 2}
    return traces


_KEPT = ("shapes", "annotations", "grid", "coloraxis", "showlegend")


def _layout(given: dict[str, Any]) -> dict[str, Any]:
    """Return axes and little else: colours and type are the page's."""
    layout = {
        key: value
        for key, value in given.items()
        if key in _KEPT or key.startswith(("xaxis", "yaxis"))
    }
    layout["showlegend"] = False
    layout["margin"] = {"l": 60, "r": 20, "t": 30, "b": 45}
    return layout


def stock_study(table: TrialTable, direction: Direction, most: int) -> tuple[optuna.Study, int]:
    """Return an in-memory Optuna study of COMPLETE trials, evenly over their numbers."""
    places = np.flatnonzero(table.finite())
    if len(places) > most:
        places = places[np.linspace(0, len(places) - 1, most).astype(np.int64)]
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study = optuna.create_study(direction=direction.value)
    finally:
        optuna.logging.set_verbosity(level)
    study.add_trials([_frozen(table, int(place)) for place in places])
    return study, len(places)


def _frozen(table: TrialTable, place: int) -> optuna.trial.FrozenTrial:
    params: dict[str, ParamValue] = dict(table.params_of(place))
    kinds = {name: table.params[name].kind for name in params}
    inside = {
        name: value
        for name, value in params.items()
        if kinds[name]._contains(kinds[name].to_internal_repr(value))
    }
    return optuna.trial.create_trial(
        value=float(table.values[place]),
        params=inside,
        distributions={name: kinds[name] for name in inside},
    )
