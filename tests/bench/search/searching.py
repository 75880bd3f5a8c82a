"""One cell of the bench: a search, and its best trial under fresh seeds."""

import subprocess
import warnings
from functools import cache
from pathlib import Path

import torch
from optuna.exceptions import ExperimentalWarning
from threadpoolctl import threadpool_limits

from tests.bench.search.confirming import confirm
from tests.bench.search.contenders import CONTENDERS, N_EPOCHS, Contender, build_spec
from tests.bench.search.data import load_prepared
from tests.bench.search.driving import Drive, new_bests
from tests.bench.search.records import Cell, Search
from tests.bench.search.searchers import Searcher, StockSearcher, TunerSearcher
from tuner.study_file.model import StudySpec

BUDGET = 2700  # epochs of a search


def run_cell(cell: Cell, n_epochs: int = BUDGET, contender: Contender | None = None) -> Search:
    """Search on one thread; a function of the cell, but for the seconds."""
    contender = contender or CONTENDERS[cell.contender]
    commit_of_code()  # now: the files may change while it runs
    spec = build_spec(contender, cell.data, cell.in_flight, cell.seed)
    data = load_prepared(cell.data)
    torch.set_num_threads(1)
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        drive = Drive(
            _build_searcher(contender, spec),
            data.dataset,
            n_epochs=n_epochs,
            trial_epochs=N_EPOCHS,
            in_flight=cell.in_flight,
            seed=cell.seed,
        )
        drive.run()
        training, suggesting = drive.clock.training, drive.clock.suggesting
        bests = new_bests(drive.trials)
        best = next(
            (n for n, t in enumerate(drive.trials) if bests and t.value == bests[-1][2]), None
        )
        confirmed = None
        if best is not None:
            confirmed = confirm(data, drive.trials[best].params, cell.seed, N_EPOCHS)
    return Search(
        cell=cell,
        n_epochs=drive.epochs,
        n_trials=len(drive.trials),
        training_seconds=training,
        suggesting_seconds=suggesting,
        bests=bests,
        best_trial=best,
        confirmed=confirmed,
        commit=commit_of_code(),
        trials=drive.trials,
    )


@cache
def commit_of_code() -> str:
    """Return the commit in short, as the code was when this process first asked."""

    def ask(*words: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    return ask("rev-parse", "--short", "HEAD") + ("+" if ask("status", "--porcelain") else "")


def _build_searcher(contender: Contender, spec: StudySpec) -> Searcher:
    return (
        StockSearcher(spec)
        if contender.is_stock
        else TunerSearcher(spec, compares_best=contender.compares_best)
    )
