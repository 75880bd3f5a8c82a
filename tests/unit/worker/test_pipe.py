"""Bytes to messages: whatever comes, the reader goes on."""

import random

import pytest
import torch

from tuner.messages import Continue, Ready, Stop, encode
from tuner.study.verdict import Outcome, Verdict
from tuner.worker.faults import how_it_failed
from tuner.worker.pipe import MAX_LINE_BYTES, LineCutter, message_in


def test_lines_may_come_in_any_pieces():
    lines = [encode(Continue(number=n, attempt=1, step=2)) for n in range(50)]
    stream, rng, cutter = b"".join(lines), random.Random(1), LineCutter()
    found = []
    while stream:
        n = rng.randrange(1, 90)
        found += cutter.feed(stream[:n])
        stream = stream[n:]
    assert [line + b"\n" for line in found] == lines


def test_a_line_without_end_is_skipped_and_the_next_one_read(caplog):
    cutter = LineCutter()
    found = []
    for _ in range(3 * MAX_LINE_BYTES // 50_000):
        found += cutter.feed(b"x" * 50_000)
    found += cutter.feed(b"xx\nnext\n")
    assert found == [b"next"]
    assert "longer than 1 MB" in caplog.text


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b"null",
        b"\xff\xfe",
        b"[" * 200_000,
        b'{"type":"Stop","number":1,"attempt":1,"verdict":"boredom"}',
        b'{"type":"Continue","number":1}',
        b'{"type":"os.system"}',
        b'{"type":[]}',
    ],
)
def test_garbage_is_ignored_with_a_line_in_the_log(line, caplog):
    assert message_in(line) is None
    assert "ignored" in caplog.text


def test_only_what_agents_send_is_taken():
    stop = Stop(number=1, attempt=2, verdict=Verdict.PRUNE)
    assert message_in(encode(stop)) == stop
    assert message_in(encode(Ready(n_free=1, n_taken=0))) is None


def test_lack_of_memory_is_told_from_other_errors():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**55, dtype=torch.uint8)
    assert how_it_failed(caught.value) is Outcome.OUT_OF_MEMORY
    assert how_it_failed(MemoryError()) is Outcome.OUT_OF_MEMORY
    assert how_it_failed(torch.cuda.OutOfMemoryError("x")) is Outcome.OUT_OF_MEMORY
    assert how_it_failed(RuntimeError("shapes differ")) is Outcome.EXCEPTION
