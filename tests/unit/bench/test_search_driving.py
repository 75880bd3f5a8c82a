"""Tiny searches of the bench, with real training."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench.search.contenders import CONTENDERS, N_EPOCHS, build_spec
from tests.bench.search.data import DECISION, DEVELOPMENT, load_prepared
from tests.bench.search.records import Cell, Search
from tests.bench.search.report import render
from tests.bench.search.searching import run_cell

N = 150  # epochs of these searches


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Prepare the data below a folder of the test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    load_prepared.cache_clear()
    yield
    load_prepared.cache_clear()


def cell(contender: str) -> Cell:
    return Cell(seed=0, in_flight=6, data="diabetes", contender=contender)


def without_seconds(search: Search) -> Search:
    trials = [replace(t, begun_seconds=0, ended_seconds=None) for t in search.trials]
    bests = [(epochs, 0.0, value) for epochs, _, value in search.bests]
    return replace(search, training_seconds=0, suggesting_seconds=0, bests=bests, trials=trials)


@pytest.mark.parametrize("contender", ["tpe+asha", "stock", "random+1/27", "mixed+asha"])
def test_a_search_uses_its_epochs_and_confirms_its_best_trial(contender: str):
    search = run_cell(cell(contender), N)
    assert sum(len(trial.values) for trial in search.trials) == search.n_epochs == N
    assert {trial.state for trial in search.trials} >= {"COMPLETE", "PRUNED"}
    for trial in search.trials:
        is_running = trial.state == "RUNNING"
        assert (trial.ended_epochs is None) == is_running
        if trial.state == "COMPLETE":
            assert len(trial.values) == N_EPOCHS
            assert trial.value == min(trial.values)
    assert sum(trial.state == "RUNNING" for trial in search.trials) <= 6
    assert search.best_trial is not None
    assert search.trials[search.best_trial].value == search.best_at()
    assert search.confirmed is not None
    assert len(search.confirmed.val_loss) == len(search.confirmed.test_metric) == 3


def test_a_search_is_a_function_of_its_cell():
    one, other = (without_seconds(run_cell(cell("mixed+asha"), N)) for _ in range(2))
    assert one == other


def test_the_table_compares_searches_with_all_epochs():
    searches = [
        run_cell(replace(cell(name), seed=seed), N)
        for name in ("random+asha", "random+1/27")
        for seed in (0, 1)
    ]
    table = render([*searches, replace(searches[0], n_epochs=1)], "random+asha", N)
    assert "4 searches" in table
    assert "## 6 in flight" in table
    assert "| random+1/27 | 2 |" in table


@pytest.mark.parametrize("name", CONTENDERS)
def test_each_contender_is_a_valid_study(name: str):
    spec = build_spec(CONTENDERS[name], "digits", 8, 0)
    assert spec.n_steps == N_EPOCHS


def test_sets_of_the_decision_are_no_sets_of_development():
    assert len(DEVELOPMENT) >= 3
    assert len(DECISION) >= 3
    assert not set(DEVELOPMENT) & set(DECISION)


def test_at_most_so_many_trials_are_in_flight():
    search = run_cell(cell("random+asha"), 60)
    for at in range(60):
        n = sum(
            trial.begun_epochs <= at and (trial.ended_epochs is None or trial.ended_epochs > at)
            for trial in search.trials
        )
        assert n <= 6


def test_with_one_rung_trials_end_there_or_go_on():
    search = run_cell(cell("random+1/27"), 100)
    lengths = {len(trial.values) for trial in search.trials if trial.state == "PRUNED"}
    assert lengths == {1}
