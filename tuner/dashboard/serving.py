"""Shared parts of the handlers of all pages."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import HTMLResponse

from tuner.dashboard.follower import Drawn, Followers
from tuner.dashboard.health import Health
from tuner.dashboard.overview import Overview
from tuner.dashboard.rendering import render
from tuner.errors import DatabaseAway, NotFound, TunerError, UsageError
from tuner.storage.connections.connection import Database


@dataclass(frozen=True, kw_only=True)
class Dashboard:
    """The objects that pages are built from."""

    database: Database
    followers: Followers
    overview: Overview
    health: Health
    allow_actions: bool


def dashboard_of(request: Request) -> Dashboard:
    """Return the dashboard of a request."""
    found = request.app.state.dashboard
    assert isinstance(found, Dashboard)
    return found


async def drawn_of(request: Request) -> Drawn:
    """Return the study that a request names; raises `NotFound`, `DatabaseError`."""
    follower = await dashboard_of(request).followers.find(request.path_params["name"])
    return await follower.look()


def page(template: str, request: Request, **values: object) -> HTMLResponse:
    common = {"path": request.url.path, "allow_actions": dashboard_of(request).allow_actions}
    return HTMLResponse(render(template, **{**common, **values}))


def status_of(error: TunerError) -> int:
    """Return the HTTP status of a tuner error."""
    match error:
        case NotFound():
            return 404
        case UsageError():
            return 400
        case DatabaseAway():
            return 503
        case _:
            return 500
