"""The log of the bench of searches: what is written comes back, and a bench continues."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench.search.command import open_cells
from tests.bench.search.driving import new_bests
from tests.bench.search.records import (
    Cell,
    Confirmed,
    Search,
    TrialRow,
    append,
    from_line,
    read_log,
    to_line,
)

TRIALS = (
    TrialRow(
        params={"learning_rate": 0.01, "optimizer": "sgd"},
        origin="model",
        begun_epochs=0,
        begun_seconds=0.5,
        values=[0.5, math.inf],
        state="DIVERGED",
        ended_epochs=2,
        ended_seconds=0.75,
    ),
    TrialRow(params={}, origin=None, begun_epochs=1, begun_seconds=0.5, values=[0.25]),
)
SEARCH = Search(
    cell=Cell(seed=3, in_flight=8, data="digits", contender="tpe+asha"),
    n_epochs=2700,
    n_trials=2,
    training_seconds=1.5,
    suggesting_seconds=0.5,
    bests=((30, 0.5, 2.0), (60, 1.5, 1.0)),
    best_trial=1,
    confirmed=Confirmed(
        val_loss=[1.0, 2.0], test_loss=[1.5, 2.5], test_metric=[0.5, 0.75], metric="accuracy"
    ),
    commit="abc",
    trials=TRIALS,
)


def other(seed: int) -> Search:
    return replace(SEARCH, cell=replace(SEARCH.cell, seed=seed))


def cells_left(log: Path) -> list[int]:
    cells = open_cells(log, seeds=range(3), in_flight=[8], data=["digits"], contenders=["tpe+asha"])
    return [cell.seed for cell in cells]


def test_a_line_holds_the_whole_search():
    again = from_line(to_line(SEARCH), with_trials=True)
    assert again == replace(SEARCH, trials=list(TRIALS))
    assert from_line(to_line(SEARCH)).trials == []


def test_numbers_of_trials_are_written_in_short():
    trial = replace(TRIALS[0], params={"learning_rate": 0.0123456789}, values=[1 / 3])
    (again,) = from_line(to_line(replace(SEARCH, trials=[trial])), with_trials=True).trials
    assert again.params == {"learning_rate": 0.0123457}
    assert again.values == [0.333333]


def test_the_best_value_by_then():
    assert SEARCH.best_at() == 1.0
    assert SEARCH.best_at(epochs=59) == 2.0
    assert SEARCH.best_at(seconds=0.4) is None
    assert SEARCH.epochs_to(1.5) == 60
    assert SEARCH.epochs_to(0.5) is None


def test_a_bench_continues_with_the_cells_that_the_log_lacks(tmp_path: Path):
    log = tmp_path / "new" / "log.jsonl"
    assert cells_left(log) == [0, 1, 2]
    append(log, other(1))
    append(log, replace(other(2), cell=replace(SEARCH.cell, seed=2, in_flight=32)))
    assert cells_left(log) == [0, 2]


@pytest.mark.parametrize("n_kept", [1, 100, 200_000])
def test_a_line_that_was_cut_off_is_written_again(tmp_path: Path, n_kept: int):
    log = tmp_path / "log.jsonl"
    long = replace(other(1), trials=[replace(TRIALS[0], values=[0.5] * 60_000)])
    append(log, other(0))
    with log.open("a") as file:
        file.write(to_line(long)[:n_kept])
    assert cells_left(log) == [1, 2]
    append(log, other(2))
    assert [search.cell.seed for search in read_log(log)] == [0, 2]


def test_a_log_of_only_a_part_of_a_line_is_begun_again(tmp_path: Path):
    log = tmp_path / "log.jsonl"
    log.write_text(to_line(SEARCH)[:50])
    append(log, other(1))
    assert cells_left(log) == [0, 2]


def test_new_bests_are_in_the_order_of_the_ends():
    def complete(value: float, epochs: int) -> TrialRow:
        return replace(
            TRIALS[1], state="COMPLETE", value=value, ended_epochs=epochs, ended_seconds=1
        )

    trials = [complete(2.0, 60), TRIALS[0], complete(3.0, 30), complete(2.5, 70), complete(1.0, 90)]
    assert new_bests(trials) == [(30, 1, 3.0), (60, 1, 2.0), (90, 1, 1.0)]
