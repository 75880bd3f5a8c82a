"""The reader's thread: an outage is told, never raised."""

import time
from contextlib import contextmanager

import pytest

from tuner.cli.screen import reader as live_reader
from tuner.cli.screen.reader import LiveReader, pause_seconds
from tuner.errors import DatabaseAway, NotFound


def _reader(monkeypatch, answers, opened=None):
    """Answers are studies or errors, the last one for ever."""

    def look(_database, _name):
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    @contextmanager
    def open_database():
        if opened:
            raise opened.pop()
        yield "database"

    monkeypatch.setattr(live_reader, "load_live", look)
    return LiveReader(open_database, "digits", every_seconds=0.001)


def _until(is_so):
    end = time.monotonic() + 5
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.001)


@pytest.mark.parametrize(
    ("every", "took", "pause"),
    [(1.0, 0.01, 1.0), (1.0, 0.3, 3.0), (1.0, 9.0, 15.0), (60.0, 9.0, 60.0), (0.1, 0.0, 0.1)],
)
def test_a_study_that_is_slow_to_read_is_read_less_often(every, took, pause):
    assert pause_seconds(every, took) == pytest.approx(pause)


def test_the_reader_rests_ten_times_as_long_as_it_read(monkeypatch):
    looks = []

    def look(_database, _name):
        looks.append(time.monotonic())
        time.sleep(0.02)
        return "study"

    reader = _reader(monkeypatch, ["study"])
    monkeypatch.setattr(live_reader, "load_live", look)
    reader.start()
    _until(lambda: len(looks) >= 2)
    reader.stop()
    assert looks[1] - looks[0] >= 0.2
    assert reader.look.next_at >= reader.look.seen_at + 0.2


def test_what_was_read_stays_while_the_database_is_away(monkeypatch):
    reader = _reader(monkeypatch, ["study", DatabaseAway("no route\nmore")])
    reader.start()
    _until(lambda: reader.look.error)
    assert (reader.look.study, reader.look.error) == ("study", "no route")
    reader.stop()


def test_it_comes_back_by_itself(monkeypatch):
    opened = [DatabaseAway("starting")]
    reader = _reader(monkeypatch, [DatabaseAway("away"), "study"], opened)
    reader.start()
    _until(lambda: reader.look.study)
    assert reader.look.error is None
    reader.stop()
    assert not reader._thread.is_alive()


def test_a_deleted_study_is_gone(monkeypatch):
    reader = _reader(monkeypatch, [NotFound("no study")])
    reader.start()
    _until(lambda: reader.look.error)
    assert reader.look.is_gone
    reader.stop()
