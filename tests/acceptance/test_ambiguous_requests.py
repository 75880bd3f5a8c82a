"""Requests whose end two readers may see in two places: refused, and the connection closed."""

import re
import socket

import pytest

from tests.acceptance.dashboards import Served, open_dashboard

GET = b"GET /static/x HTTP/1.1\r\nHost: 127.0.0.1\r\n"
POST = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n"
HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: evil.example\r\n\r\n"


@pytest.fixture(scope="module")
def served(finished):
    with open_dashboard(finished) as served:
        yield served


def answers(served: Served, *parts: bytes) -> list[bytes]:
    """The status lines of all answers, until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=8) as connection:
        for part in parts:
            connection.sendall(part)
        received = b""
        while data := connection.recv(65536):
            received += data
    return re.findall(rb"HTTP/1\.1 [^\r]*", received)


@pytest.mark.parametrize(
    "request_head",
    [
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
        GET + b"tRANSFER-eNCODING: chunked\r\ncONTENT-lENGTH: 3\r\n\r\n",
        POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
        POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n",
        POST + b"Content-Length: 5, 5\r\n\r\n",
        POST + b"Content-Length: 5, 6\r\n\r\n",
        POST + b"Content-Length: +5\r\n\r\n",
        POST + b"Content-Length: 0x5\r\n\r\n",
        POST + b"Content-Length: -1\r\n\r\n",
        POST + b"Content-Length:\r\n\r\n",
        POST + b"Content-Length : 5\r\n\r\n",
        POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
        POST + b"Transfer-Encoding: chunked, identity\r\n\r\n",
        POST + b"Transfer-Encoding: identity\r\n\r\n",
        POST + b"Transfer-Encoding: xchunked\r\n\r\n",
        POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n",
        POST + b"Transfer-Encoding : chunked\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n",
        POST.replace(b"HTTP/1.1", b"HTTP/1.0") + b"Transfer-Encoding: chunked\r\n\r\n",
        GET + b"X: a\r\n b\r\n\r\n",
        GET + b"X: a\r\n\tContent-Length: 5\r\n\r\n",
        GET.replace(b"\r\nHost", b"\r\n Host") + b"\r\n",
        GET.replace(b"\r\n", b"\n") + b"\n",
        GET + b"X: a\nContent-Length: 45\r\n\r\n",
        GET + b"X: a\rContent-Length: 45\r\n\r\n",
        GET + b"X: a\r\n\n",
        GET[:-2] + b"\n\r\n",
    ],
)
def test_an_ambiguous_request_is_refused_and_is_the_last(served, request_head):
    for parts in ((request_head + HIDDEN,), (request_head[:40], request_head[40:], HIDDEN)):
        try:
            assert answers(served, *parts) == [b"HTTP/1.1 400 Bad Request"], parts
        except (ConnectionResetError, BrokenPipeError):
            assert len(parts) > 1  # closed while more of it was sent


def test_one_that_follows_a_good_request_is_refused_too(served):
    bad = POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    first, second = answers(served, GET + b"\r\n" + bad + HIDDEN)
    assert first == b"HTTP/1.1 404 Not Found"
    assert second == b"HTTP/1.1 400 Bad Request"


@pytest.mark.parametrize("end", [b"0\r\n\r\n", b"0\r\nX: a\nY: b\n\n", b"0\r\nX: a\r\n b\r\n\r\n"])
def test_nothing_follows_a_body_in_chunks(served, end):
    head = GET + b"Transfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n"
    assert answers(served, head + end + HIDDEN) == [b"HTTP/1.1 404 Not Found"]


def test_plain_requests_share_a_connection(served):
    with_body = GET + b"Content-Length: 3\r\nX-Long: " + b"x" * 20_000 + b"\r\n\r\nabc"
    last = GET + b"Connection: close\r\n\r\n"
    found = answers(served, GET + b"\r\n", with_body[:70], with_body[70:], last)
    assert found == [b"HTTP/1.1 404 Not Found"] * 3
