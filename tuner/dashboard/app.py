"""The web application: routes, and the pages of errors."""

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio import to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route

from tuner.dashboard import addresses, words
from tuner.dashboard.access import Access
from tuner.dashboard.actions import act
from tuner.dashboard.analysis_page import analysis, analysis_plot
from tuner.dashboard.assets import all_assets
from tuner.dashboard.follower import N_THREADS, Drawn, Followers
from tuner.dashboard.guard import HEALTH, METRICS, Guard, Guarding
from tuner.dashboard.health import Health
from tuner.dashboard.metrics import healthz, metrics
from tuner.dashboard.overview import Overview
from tuner.dashboard.rendering import render
from tuner.dashboard.serving import Dashboard, dashboard_of, drawn_of, page, status_of
from tuner.dashboard.study_view import build_view
from tuner.dashboard.trial_page import trial, trial_config, trial_curve
from tuner.dashboard.trials_page import trials, trials_csv, trials_json
from tuner.errors import NotFound, TunerError
from tuner.results.figures.catalog import NAMES
from tuner.storage.connections.connection import N_CONNECTIONS, Database

_log = logging.getLogger(__name__)
# That read for pages: with the followers' own as many as the pool has connections, so that a crowd
# waits in line instead of for a connection.
N_PAGE_THREADS = N_CONNECTIONS - N_THREADS
# Parts of a study's page that are sent again.
PARTS = ("headline", "confirmation", "failures", "devices", "activity")


def build_app(database: Database, *, access: Access, guarding: Guarding) -> Guard:
    """Build all routes behind the guard."""
    addresses.register()
    dashboard = Dashboard(
        database=database,
        followers=Followers(database=database),
        overview=Overview(database=database),
        health=Health(database=database),
        allow_actions=guarding.allow_actions,
    )

    @asynccontextmanager
    async def living(_: Starlette) -> AsyncIterator[None]:
        to_thread.current_default_thread_limiter().total_tokens = N_PAGE_THREADS
        yield
        dashboard.followers.close()

    app = Starlette(
        routes=[
            Route("/", studies, methods=["GET"]),
            Route(HEALTH, healthz, methods=["GET"]),
            Route(METRICS, metrics, methods=["GET"]),
            Route("/static/{version}/{name}", static, methods=["GET"]),
            Route("/s/{name:study}", study, methods=["GET"]),
            Route("/s/{name:study}/figures", figures, methods=["GET"]),
            Route("/s/{name:study}/live", live, methods=["GET"]),
            Route("/s/{name:study}/trials", trials, methods=["GET"]),
            Route("/s/{name:study}/trials.csv", trials_csv, methods=["GET"]),
            Route("/s/{name:study}/trials.json", trials_json, methods=["GET"]),
            Route("/s/{name:study}/t/{number:trial}", trial, methods=["GET"]),
            Route("/s/{name:study}/t/{number:trial}/curve", trial_curve, methods=["GET"]),
            Route("/s/{name:study}/t/{number:trial}/best.yaml", trial_config, methods=["GET"]),
            Route("/s/{name:study}/analysis", analysis, methods=["GET"]),
            Route("/s/{name:study}/analysis/plot", analysis_plot, methods=["GET"]),
            *(
                [Route("/s/{name:study}/actions/{action}", act, methods=["POST"])]
                * guarding.allow_actions
            ),
        ],
        exception_handlers={TunerError: show_error, 404: show_missing, Exception: show_bug},
        lifespan=living,
    )
    app.state.dashboard = dashboard
    return Guard(app, access=access, guarding=guarding)


async def static(request: Request) -> Response:
    """Return a file; browsers keep it forever, since another version has another address."""
    asset = all_assets().files.get(request.path_params["name"])
    if asset is None:
        return await show_missing(request, NotFound("no such file"))
    etag = f'"{all_assets().version}"'
    headers = {"cache-control": "public, max-age=31536000, immutable", "etag": etag}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    headers |= {"content-encoding": "gzip", "content-type": asset.kind}
    return Response(asset.packed, headers=headers)


async def studies(request: Request) -> Response:
    dashboard = dashboard_of(request)
    rows = await dashboard.overview.look()
    return page("studies.html", request, rows=rows)


async def study(request: Request) -> Response:
    """Show one study on one screen."""
    drawn = await drawn_of(request)
    return page("study.html", request, **_values(request, drawn), figures=NAMES)


def _values(request: Request, drawn: Drawn) -> dict[str, object]:
    return {
        "view": build_view(drawn.board),
        "board": drawn.board,
        "confirmation": drawn.board.confirmation,
        "name": drawn.board.name,
        "allow_actions": dashboard_of(request).allow_actions,
    }


async def figures(request: Request) -> Response:
    """Return some figures of a study, or all, as JSON."""
    drawn = await drawn_of(request)
    wanted = request.query_params.get("names", "")
    names = [name for name in wanted.split(",") if name in NAMES] or list(NAMES)
    body = await to_thread.run_sync(drawn.packed, names)
    return Response(body, headers={"content-encoding": "gzip", "content-type": "application/json"})


async def live(request: Request) -> Response:
    """Stream changes as server-sent events; the id is the newest event that was seen."""
    follower = await dashboard_of(request).followers.find(request.path_params["name"])

    async def stream() -> AsyncIterator[bytes]:
        yield b"retry: 1000\n\n"
        async for news in follower.changes():
            if isinstance(news, TunerError):
                yield _event("trouble", "", {"message": words.clean(news)})
            else:
                yield _event("state", _id(news), await to_thread.run_sync(_news, request, news))

    headers = {"content-type": "text/event-stream", "x-accel-buffering": "no"}
    return StreamingResponse(stream(), headers=headers)


def _id(drawn: Drawn) -> str:
    return f"{drawn.board.clock.last_event}.{drawn.board.version}"


def _news(request: Request, drawn: Drawn) -> dict[str, object]:
    values = _values(request, drawn)
    parts = (*PARTS, "actions") if values["allow_actions"] else PARTS
    best = drawn.board.summary.best
    return {
        "version": drawn.board.version,
        "figures": dict(drawn.hashes),
        "parts": {part: render(f"parts/{part}.html", **values) for part in parts},
        "best": None if best is None else {"number": best.number, "value": best.value},
        "metric": drawn.board.study.metric,
    }


def _event(kind: str, number: str, data: object) -> bytes:
    head = f"id: {number}\n" if number else ""
    return f"event: {kind}\n{head}data: {json.dumps(data)}\n\n".encode()


async def show_error(request: Request, error: Exception) -> Response:
    """Show the event, its location and the next step."""
    assert isinstance(error, TunerError)
    status = status_of(error)
    return HTMLResponse(render("error.html", status=status, message=str(error)), status)


async def show_bug(request: Request, error: Exception) -> Response:
    """Show a bug without its text, which may hold anything: only the log gets that."""
    _log.error("a page failed", exc_info=error, extra={"path": request.url.path})
    told = "tuner made a mistake; the terminal of `tuner dashboard` shows it"
    return HTMLResponse(render("error.html", status=500, message=told), 500)


async def show_missing(request: Request, _: Exception) -> Response:
    """Answer an unknown address."""
    return HTMLResponse(render("error.html", status=404, message="no such page"), 404)
