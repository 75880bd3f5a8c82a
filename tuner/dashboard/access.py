"""Access: a token in the first URL, then a signed cookie; both compared in constant time."""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

SESSION_SECONDS = 30 * 86_400
KEY_BYTES = 32
_MAX_WRONG = 10  # wrong tokens of one address
_WINDOW_SECONDS = 60.0
_MAX_ADDRESSES = 1000


@dataclass(kw_only=True)
class Access:
    """Tokens and sessions of one dashboard; with a stored key sessions outlive the process."""

    key: bytes = field(repr=False)  # signs sessions
    shared_token: str | None = field(
        default=None, repr=False
    )  # of a token file: valid for all users
    metrics_token: str | None = field(default=None, repr=False)  # None: no metrics are served
    clock: Callable[[], float] = time.time
    on_used: Callable[[], None] = field(default=lambda: None)  # the token for one browser
    _once: str | None = field(default=None, repr=False)
    _wrong: dict[str, list[float]] = field(default_factory=dict)

    def new_token(self) -> str:
        """Return a token for one browser; the previous one becomes void."""
        self._once = secrets.token_urlsafe(KEY_BYTES)
        return self._once

    def redeem(self, token: str) -> bool:
        """Return whether a token is right; one for a single browser is used up by that."""
        given = token.encode()
        is_shared = self.shared_token is not None and hmac.compare_digest(
            given, self.shared_token.encode()
        )
        is_once = self._once is not None and hmac.compare_digest(given, self._once.encode())
        if is_once:
            self._once = None
            self.on_used()
        return is_shared or is_once

    def may_scrape(self, authorization: str) -> bool:
        """Return whether a header `Authorization: Bearer TOKEN` has the token of the metrics."""
        scheme, _, given = authorization.partition(" ")
        wanted = self.metrics_token or ""
        is_right = hmac.compare_digest(given.strip().encode(), wanted.encode())
        return bool(wanted) and scheme.lower() == "bearer" and is_right

    def new_session(self) -> str:
        """Return a cookie's value."""
        expires = int(self.clock() + SESSION_SECONDS)
        body = f"{expires}.{secrets.token_hex(8)}"
        return f"{body}.{self._sign(body)}"

    def is_session(self, cookie: str) -> bool:
        """Return whether this dashboard made it and it has not expired."""
        body, _, signature = cookie.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._sign(body).encode()):
            return False
        expires = body.partition(".")[0]
        return expires.isdecimal() and int(expires) > self.clock()

    def _sign(self, body: str) -> str:
        """Sign the body with the token file's content: a changed file ends its sessions."""
        secret = self.key + (self.shared_token or "").encode()
        return hmac.new(secret, f"session {body}".encode(), hashlib.sha256).hexdigest()

    def is_blocked(self, address: str) -> bool:
        """Return whether an address has guessed too often lately."""
        return len(self._recent(address)) >= _MAX_WRONG

    def count_wrong(self, address: str) -> None:
        """Count a wrong token."""
        if len(self._wrong) >= _MAX_ADDRESSES:
            self._wrong.pop(next(iter(self._wrong)))
        self._wrong[address] = [*self._recent(address), self.clock()]

    def _recent(self, address: str) -> list[float]:
        begin = self.clock() - _WINDOW_SECONDS
        return [at for at in self._wrong.get(address, ()) if at > begin]
