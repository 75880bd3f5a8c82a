"""Strict framing of requests: a proxy in front must not read another end than this server.

h11 takes a request with both a length and a coding, joins folded lines and accepts a bare line feed
(RFC 9112, sections 2.2, 5.2 and 6.3 let a server refuse all of them). No client needs them.
"""

import re

import h11

MAX_HEAD = 32 * 1024
_BARE_LINE_FEED = re.compile(rb"(?<!\r)\n")


class StrictConnection(h11.Connection):
    """A server's side of a connection that refuses ambiguous requests."""

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """Return h11's next event; raises `RemoteProtocolError` for an ambiguous request."""
        if self.their_state is h11.IDLE:
            _check_head(self.trailing_data[0])
        return super().next_event()


def _check_head(received: bytes) -> None:
    head, _, rest = received.partition(b"\r\n\r\n")
    if _BARE_LINE_FEED.search(head):
        raise h11.RemoteProtocolError("a line ends without a carriage return")
    if len(head) == len(received) and not rest:
        return  # more of it is to come; h11 bounds it
    first, *fields = head.split(b"\r\n")
    if any(field[:1] in (b" ", b"\t") for field in fields):
        raise h11.RemoteProtocolError("a header is folded")
    names = [field.partition(b":")[0].strip().lower() for field in fields]
    n_codings = names.count(b"transfer-encoding")
    n_lengths = sum(
        1 + field.count(b",")
        for name, field in zip(names, fields, strict=True)
        if name == b"content-length"
    )
    if n_lengths + n_codings > 1:
        raise h11.RemoteProtocolError("the length of the body is given more than once")
    if n_codings and not first.endswith(b" HTTP/1.1"):
        raise h11.RemoteProtocolError("a transfer coding came before HTTP/1.1")
