"""Time limits of connections without a request: a few hundred would block other users."""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from tuner.dashboard.framing import MAX_HEAD, StrictConnection

PATIENCE_SECONDS = 10.0


class PatientProtocol(H11Protocol):
    """Gives every request a deadline, which starts when the server waits for it."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the deadline of the first request."""
        super().connection_made(transport)
        self.conn = StrictConnection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self._set_deadline()

    def data_received(self, data: bytes) -> None:
        """Keep the deadline until the request is whole; between two, uvicorn's own limit holds."""
        super().data_received(data)
        is_due = self.conn.their_state in (h11.IDLE, h11.SEND_BODY)
        if not is_due or self.timeout_keep_alive_task is not None:
            self._drop_deadline()
        elif self._deadline is None:
            self._set_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the deadline."""
        self._drop_deadline()
        super().connection_lost(exc)

    def _set_deadline(self) -> None:
        self._deadline = self.loop.call_later(PATIENCE_SECONDS, self.transport.close)

    def _drop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
