"""The page of one trial."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response

from tuner.dashboard import words
from tuner.dashboard.serving import dashboard_of, drawn_of, page
from tuner.errors import NotFound
from tuner.export.best_config import Wanted, export_trials
from tuner.export.writing import Format, render
from tuner.results.board import Board
from tuner.results.figures.trial import trial_figure
from tuner.results.trial_page import TrialPage, load_trial_page
from tuner.storage.connections.connection import Database
from tuner.storage.reading.columns import (
    CheckpointRow,
    Curve,
    MetricRow,
    read_checkpoints,
    read_last_metrics,
    read_metric_curves,
)
from tuner.study.trial import Params

_KNOWN_ATTRS = {"reason", "failure", "retry_of"}


@dataclass(frozen=True, kw_only=True)
class ParamLine:
    """A param next to the best trial's."""

    name: str
    value: object
    best: object
    difference: str  # empty: the same


@dataclass(frozen=True, kw_only=True)
class _More:
    """Facts of the trial's page beyond `TrialPage`."""

    checkpoints: Sequence[CheckpointRow]
    metrics: Sequence[MetricRow]
    training: Curve | None


async def trial(request: Request) -> Response:
    """Show everything about it."""
    board, found, more = await _load(request)
    best = board.summary.best
    is_best = best is not None and best.number == found.trial.number
    params = dict(found.trial.params)
    return page(
        "trial.html",
        request,
        name=board.name,
        board=board,
        found=found,
        trial=found.trial,
        best=best,
        is_best=is_best,
        params=compare(params, {} if best is None or is_best else best.params),
        entry=words.as_yaml(params),
        attrs={k: v for k, v in found.trial.user_attrs.items() if k not in _KNOWN_ATTRS},
        logs=list(reversed(found.logs)),
        checkpoints=more.checkpoints,
        metrics=more.metrics,
        previous=found.trial.number - 1 if found.trial.number else None,
        following=found.trial.number + 1 if found.trial.number < board.table.highest else None,
    )


async def trial_curve(request: Request) -> Response:
    """Return its figure as JSON."""
    board, found, more = await _load(request)
    figure = trial_figure(board, found, more.training)
    body = json.dumps({"figures": {"trial": figure.as_json()}}, allow_nan=False)
    return Response(body, media_type="application/json")


async def trial_config(request: Request) -> Response:
    """Return the config of its final training, as `tuner export --trial` writes it."""
    name, number = await _address(request)
    wanted = Wanted(number=number)
    (exported,) = await to_thread.run_sync(
        export_trials, dashboard_of(request).database, name, wanted
    )
    headers = {"content-disposition": f'attachment; filename="{name}-trial-{number}.yaml"'}
    text = render(exported, Format.YAML)
    return Response(text, media_type="application/yaml", headers=headers)


async def _address(request: Request) -> tuple[str, int]:
    """Return study and trial; raises `NotFound` for an impossible number."""
    name = (await drawn_of(request)).board.name
    number: int = request.path_params["number"]
    if number > 2**31 - 1:
        raise NotFound(f"study {name!r} has no trial {number}")
    return name, number


async def _load(request: Request) -> tuple[Board, TrialPage, _More]:
    drawn = await drawn_of(request)
    name, number = await _address(request)
    database = dashboard_of(request).database
    found = await to_thread.run_sync(load_trial_page, database, name, number)
    more = await to_thread.run_sync(partial(_load_more, database, drawn.board, number))
    return drawn.board, found, more


def _load_more(database: Database, board: Board, number: int) -> _More:
    study_id = board.study.study_id
    with database.reading() as connection:
        training = {}
        if board.training_metric is not None:
            metric = board.training_metric
            training = read_metric_curves(connection, study_id, [number], metric)
        return _More(
            checkpoints=read_checkpoints(connection, study_id, number),
            metrics=read_last_metrics(connection, study_id, number),
            training=training.get(number),
        )


def compare(params: Params, best: Params) -> list[ParamLine]:
    """Compare each param with the best trial's."""
    names = [*params, *(name for name in best if name not in params)]
    return [
        ParamLine(
            name=name,
            value=params.get(name, ""),
            best=best.get(name, ""),
            difference=_difference(params.get(name), best.get(name)) if best else "",
        )
        for name in names
    ]


def _difference(value: object, best: object) -> str:
    """Return a ratio for positive numbers, as most scales are read; otherwise the difference."""
    if value == best and type(value) is type(best):
        return "same"
    is_number = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (value, best))
    if not is_number:
        return "other"
    assert isinstance(value, int | float)
    assert isinstance(best, int | float)
    if isinstance(value, int) and isinstance(best, int):
        return f"{value - best:+,}"
    return f"{value / best:.3g}x" if value > 0 and best > 0 else f"{value - best:+.3g}"
