"""What the handlers of all pages share."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import HTMLResponse

from tuner.dashboard.follower import Drawn, Followers
from tuner.dashboard.overview import Overview
from tuner.dashboard.rendering import render
from tuner.errors import DatabaseAway, NotFound, TunerError, UsageError
from tuner.storage.connections.connection import Database


@dataclass(frozen=True, kw_only=True)
class Dashboard:
    """What pages are made of."""

    database: Database
    followers: Followers
    overview: Overview
    allow_actions: bool


def dashboard_of(request: Request) -> Dashboard:
    """The dashboard that a request came to."""
    found = request.app.state.dashboard
    assert isinstance(found, Dashboard)
    return found


async def drawn_of(request: Request) -> Drawn:
    """The study that a request names. Raises `NotFound`, `DatabaseError`."""
    follower = await dashboard_of(request).followers.find(request.path_params["name"])
    return await follower.look()


def page(template: str, request: Request, **values: object) -> HTMLResponse:
    """A whole page."""
    common = {"path": request.url.path, "allow_actions": dashboard_of(request).allow_actions}
    return HTMLResponse(render(template, **{**common, **values}))


def status_of(error: TunerError) -> int:
    """The HTTP status of an error of ours."""
    match error:
        case NotFound():
            return 404
        case UsageError():
            return 400
        case DatabaseAway():
            return 503
        case _:
            return 500
