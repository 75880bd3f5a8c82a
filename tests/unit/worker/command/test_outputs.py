"""The lines of a program's output, and what goes to the log."""

import os
import random

from tuner.worker.programs.output import MAX_LINE, Lines, Log


def lines_of(*chunks):
    lines = Lines()
    return [line for chunk in chunks for line in lines.feed(chunk)] + list(lines.finish())


def test_lines_are_the_same_however_the_output_is_cut():
    text = b"one\r\ntwo\n\n 50 %\r100 %\rthree\nfour"
    expected = ["one", "two", " 50 %", "100 %", "three", "four"]
    assert lines_of(text) == expected
    assert lines_of(*(text[i : i + 1] for i in range(len(text)))) == expected
    cut = random.Random(1)
    for _ in range(50):
        places = sorted(cut.sample(range(len(text)), 4))
        chunks = [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]
        assert lines_of(*chunks) == expected


def test_a_long_line_is_cut_and_the_next_one_is_whole():
    long = b"a" * (3 * MAX_LINE)
    chunks = [long[: 2 * MAX_LINE], long[2 * MAX_LINE :] + b"\nnext\n"]
    assert [len(line) for line in lines_of(*chunks)] == [MAX_LINE, 4]
    assert [len(line) for line in lines_of(long + b"\nnext\n")] == [MAX_LINE, 4]


def test_binary_output_is_text_with_marks():
    assert lines_of(bytes(range(128, 256)) + b"\nend\n")[-1] == "end"


def test_the_log_gets_a_bounded_part_of_a_flood(tmp_path):
    with open(tmp_path / "log", "w+b") as file:
        log = Log(file.fileno())
        log.add(b"first\n")
        for _ in range(100):
            log.add(b"x" * 99_999 + b"\n")
        log.add(b"last\n")
        log.flush()
        size = os.path.getsize(tmp_path / "log")
        text = (tmp_path / "log").read_text()
    assert size < 2_000_000
    assert text.startswith("first\n")
    assert text.endswith("x\nlast\n")
    assert "bytes of output are left out here]" in text


def test_the_end_of_a_line_comes_with_the_line(tmp_path):
    now = [100.0]
    with open(tmp_path / "log", "w+b") as file:
        log = Log(file.fileno(), lambda: now[0])
        log.add(b"epoch 1")
        assert os.path.getsize(tmp_path / "log") == 0
        log.add(b"\n")
        assert (tmp_path / "log").read_bytes() == b"epoch 1\n"
        log.add(b"epoch 2\nloading")
        now[0] += 1.0
        log.flush_due()  # no more output follows
        assert (tmp_path / "log").read_bytes() == b"epoch 1\nepoch 2\nloading"


def test_messages_show_the_last_lines():
    log = Log()
    for number in range(100):
        log.note(f"line {number}")
    log.note("  ")
    assert log.last_lines(2) == "line 98 | line 99"
    assert len(log.tail) == 50
