"""Checks of every request before any handler: Host, method, origin, size, session."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tuner.dashboard.access import SESSION_SECONDS, Access
from tuner.dashboard.hosts import is_our_host

ACTION_HEADER = "x-tuner-action"
HEALTH, METRICS = "/healthz", "/metrics"
MAX_BODY = 64 * 1024
MAX_URL = 16 * 1024
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# The larger plotly bundle adds one style sheet of its own, for maps: this one and no other.
STRICT_BUNDLE_POLICY = CONTENT_POLICY.replace(
    "style-src 'self'", "style-src 'self' 'sha256-ji27qzEtxXZW+7dun6UwjHXJ18e6WAin1VvNtkzIE/o='"
)
HEADERS = {
    "content-security-policy": CONTENT_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


@dataclass(frozen=True, kw_only=True)
class Guarding:
    """The rules of a dashboard's guard."""

    hosts: Collection[str]
    allow_actions: bool
    cookie: str  # its name: cookies of one host are shared by all its ports


class Guard:
    """An ASGI application around another one."""

    def __init__(self, app: ASGIApp, *, access: Access, guarding: Guarding) -> None:
        self._app = app
        self._access = access
        self._guarding = guarding

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request, or pass it on."""
        if scope["type"] != "http":  # no websocket here; "lifespan" is the server's own
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        request = Request(scope)
        refusal = self._refuse(request) or self._open(request)
        # Chunks may hold trailers that a proxy reads otherwise: nothing follows them.
        is_last = "transfer-encoding" in request.headers
        sending = _with_headers(send, {"connection": "close"} if is_last else {})
        if refusal is not None:
            await refusal(scope, receive, sending)
        else:
            await self._app(scope, _limited(receive), sending)

    def _refuse(self, request: Request) -> Response | None:
        hosts = request.headers.getlist("host")
        reached = (request.scope.get("server") or (None,))[0]
        if len(hosts) != 1 or not is_our_host(hosts[0], self._guarding.hosts, reached):
            return _plain(400, "this host name is not one of this dashboard's; see --allow-host")
        if len(request.scope["path"]) + len(request.scope["query_string"]) > MAX_URL:
            return _plain(414, "the address is too long")
        if request.method == "GET":
            return None
        if request.method != "POST" or not self._guarding.allow_actions:
            return _plain(405, "only GET: this dashboard changes nothing", {"allow": "GET"})
        return _refuse_action(request, hosts[0])

    def _open(self, request: Request) -> Response | None:
        """Check the session, or exchange a token for one; static files need neither."""
        path = request.scope["path"]
        if path == HEALTH:
            return None
        if path == METRICS:
            return self._refuse_scrape(request)
        token = request.query_params.get("token")
        if token is not None and request.method == "GET":
            return self._redeem(request, token)
        cookie = request.cookies.get(self._guarding.cookie, "")
        if path.startswith("/static/") or self._access.is_session(cookie):
            return None
        return _plain(
            401,
            "open the address with the token that `tuner dashboard` printed; "
            "it works for one browser, and the terminal then shows another one",
        )

    def _redeem(self, request: Request, token: str) -> Response:
        path, query = _without_token(request)
        if not self._access.redeem(token):
            if self._access.is_session(request.cookies.get(self._guarding.cookie, "")):
                return RedirectResponse(path + query, 303)  # the same link once more
            return self._refuse_token(request)
        response = RedirectResponse(path + query, 303)
        response.set_cookie(
            self._guarding.cookie,
            self._access.new_session(),
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="strict",
            path="/",
            secure=request.url.scheme == "https",
        )
        return response

    def _refuse_scrape(self, request: Request) -> Response | None:
        """Check the token of the metrics, which opens nothing else."""
        if self._access.metrics_token is None:
            return _plain(404, "metrics are off; see --metrics-token-file")
        if self._access.may_scrape(request.headers.get("authorization", "")):
            return None
        refusal = self._refuse_token(request)
        refusal.headers["www-authenticate"] = "Bearer"
        return refusal

    def _refuse_token(self, request: Request) -> Response:
        """Refuse a token; only wrong ones count, as users may share an address."""
        address = request.client.host if request.client else ""
        if self._access.is_blocked(address):
            return _plain(429, "too many wrong tokens; wait a minute", {"retry-after": "60"})
        self._access.count_wrong(address)
        return _plain(401, "this token is wrong, or was used by another browser")


def _without_token(request: Request) -> tuple[str, str]:
    """Return the address to redirect to: a path of this dashboard, never another site's."""
    path = "/" + request.url.path.lstrip("/\\")
    rest = [(k, v) for k, v in parse_qsl(request.url.query) if k != "token"]
    return path, f"?{urlencode(rest)}" if rest else ""


def _refuse_action(request: Request, host: str) -> Response | None:
    """Refuse actions without headers that a form or script of another page cannot send together."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        return _plain(415, "actions are sent as application/json")
    origins = request.headers.getlist("origin")
    if len(origins) != 1 or not _is_own(origins[0], request.url.scheme, host):
        return _plain(403, "this came from another page")
    if request.headers.get(ACTION_HEADER) != "1":
        return _plain(403, f"actions carry the header {ACTION_HEADER}: 1")
    length = request.headers.get("content-length", "")
    if not length.isdecimal() or int(length) > MAX_BODY:
        return _plain(413, f"an action needs a Content-Length of at most {MAX_BODY} bytes")
    return None


def _is_own(origin: str, scheme: str, host: str) -> bool:
    try:
        parts = urlsplit(origin)
    except ValueError:  # `http://[x`
        return False
    return parts.scheme in (scheme, "https") and parts.netloc.lower() == host.lower()


def _plain(status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    return PlainTextResponse(f"{text}\n", status, dict(headers or {}))


def _limited(receive: Receive) -> Receive:
    """End a body that is longer than announced or allowed."""
    seen = 0

    async def next_part() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        return {"type": "http.disconnect"} if seen > MAX_BODY else message

    return next_part


def _with_headers(send: Send, more: Mapping[str, str]) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = {name for name, _ in message.get("headers", ())}
            message.setdefault("headers", [])
            message["headers"] += [
                (name.encode(), value.encode())
                for name, value in {"cache-control": "no-store", **HEADERS, **more}.items()
                if name.encode() not in own
            ]
        await send(message)

    return sending
