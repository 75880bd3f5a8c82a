"""The server of pages: keys, tokens and the address are settled before the socket opens."""

import logging
import os
import secrets
import socket
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from tuner.dashboard.access import KEY_BYTES, Access
from tuner.dashboard.app import build_app
from tuner.dashboard.guard import Guarding
from tuner.dashboard.hosts import LOOPBACK, host_of, is_loopback
from tuner.dashboard.patience import PatientProtocol
from tuner.errors import RunFailed, UsageError
from tuner.storage.connections.connection import Database

_log = logging.getLogger(__name__)
_PORTS_TRIED = 20
_MAX_TOKEN = 1024
SHUTDOWN_SECONDS = 1


@dataclass(frozen=True, kw_only=True)
class Serving:
    """Address and users of the server."""

    host: str
    port: int | None  # None: the first free one from 8090 on
    token_file: Path | None
    metrics_token_file: Path | None  # None: no metrics
    allow_hosts: Sequence[str]
    allow_actions: bool
    key_file: Path  # signs sessions; made where it is missing


FIRST_PORT = 8090


def serve(database: Database, serving: Serving, tell: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; `tell` gets an address with a token, again after its use.

    Raises `UsageError`, `RunFailed`.
    """
    shared = None if serving.token_file is None else read_token(serving.token_file)
    if shared is None and not is_loopback(serving.host):
        raise UsageError(
            f"other machines can reach {serving.host}: add --token-file FILE with at least "
            f"{KEY_BYTES} random bytes "
            "(umask 077; openssl rand -hex 32 > FILE), or a tunnel (ssh -L) to 127.0.0.1"
        )
    hosts = {*LOOPBACK, *map(_allowed_host, (serving.host, *serving.allow_hosts))} - {None}
    metrics_token = (
        None if serving.metrics_token_file is None else read_token(serving.metrics_token_file)
    )
    if shared is not None and shared == metrics_token:
        raise UsageError(
            "the token of the metrics opens all pages as well: give --metrics-token-file a file of "
            "its own"
        )
    access = Access(
        key=load_key(serving.key_file), shared_token=shared, metrics_token=metrics_token
    )
    bound = _bind(serving)
    port = bound.getsockname()[1]
    guarding = Guarding(
        hosts=frozenset(host for host in hosts if host is not None),
        allow_actions=serving.allow_actions,
        cookie=f"tuner_{port}",
    )
    app = build_app(database, access=access, guarding=guarding)
    origin = find_origin(serving.host, bound.getsockname(), serving.allow_hosts)

    def invite() -> None:
        token = "" if access.shared_token else f"?token={access.new_token()}"
        tell(f"{origin}/{token}")

    access.on_used = invite
    config = uvicorn.Config(
        app,
        http=PatientProtocol,
        log_level="critical",
        access_log=False,
        lifespan="on",
        server_header=False,
        proxy_headers=False,
        ws="none",
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        timeout_keep_alive=30,
        limit_concurrency=200,
    )
    invite()
    uvicorn.Server(config).run(sockets=[bound])


def find_origin(host: str, bound: Sequence[object], names: Sequence[str] = ()) -> str:
    """Return the origin for a browser; for `localhost` the address that was bound.

    Some browsers try another address for `localhost`. A server on all addresses is found under the
    first of its `names`.
    """
    name = str(bound[0]) if is_loopback(host) else host
    if name in ("0.0.0.0", "::") and names:
        name = names[0]
    return f"http://[{name}]:{bound[1]}" if ":" in name else f"http://{name}:{bound[1]}"


def _allowed_host(given: str) -> str | None:
    host = host_of(f"[{given}]" if given.count(":") > 1 else given)
    if host is None:
        raise UsageError(f"{given!r} is not the name or address of a host")
    return host


def _bind(serving: Serving) -> socket.socket:
    """Bind the given port, otherwise the first free one."""
    wanted = (
        [serving.port] if serving.port is not None else range(FIRST_PORT, FIRST_PORT + _PORTS_TRIED)
    )
    family = socket.AF_INET6 if ":" in serving.host else socket.AF_INET
    for port in wanted:
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((serving.host, port))
            bound.listen(128)  # early connections wait until the server is up
        except OSError as error:
            bound.close()
            reason = os.strerror(error.errno) if error.errno else str(error)
            last = f"cannot listen on {serving.host} port {port}: {reason}"
            continue
        return bound
    hint = "; --port names another one" if serving.port is not None else ""
    raise RunFailed(f"{last}{hint}")


def read_token(path: Path) -> str:
    """Return the token of a file that only its owner reads; raises `UsageError`."""
    try:
        mode = path.stat().st_mode
        text = path.read_bytes()[: _MAX_TOKEN + 1].decode("ascii").strip()
    except OSError as error:
        raise UsageError(f"cannot read the token file {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(
            f"the token file {path} is not text; openssl rand -hex 32 > FILE"
        ) from error
    if stat.S_IMODE(mode) & 0o077:
        raise UsageError(f"others can read the token file {path}; chmod 600 {path}")
    if len(text) < KEY_BYTES or len(text) > _MAX_TOKEN or len(text.split()) != 1:
        raise UsageError(
            f"the token file {path} holds no token of {KEY_BYTES} to {_MAX_TOKEN} characters; "
            "openssl rand -hex 32 > FILE"
        )
    return text


def load_key(path: Path) -> bytes:
    """Return the key that signs sessions; it is stored so that open pages survive a restart."""
    try:
        key = path.read_bytes()
        if len(key) == KEY_BYTES:
            return key
    except FileNotFoundError:
        pass
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = secrets.token_bytes(KEY_BYTES)
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(fresh)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    return fresh
