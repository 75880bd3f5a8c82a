"""Arguments, the cells in order, and the log (README.md)."""

import argparse
import itertools
import multiprocessing
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from tests.bench.search.contenders import CONTENDERS
from tests.bench.search.data import DEVELOPMENT, SETS
from tests.bench.search.records import Cell, Search, append, read_log
from tests.bench.search.report import render, side_by_side
from tests.bench.search.searching import BUDGET, run_cell

OUT = Path(tempfile.gettempdir()) / "bench_search.jsonl"


def main() -> None:
    options = _parse()
    if options.table:
        asked = None if options.data is None else set(options.data)
        searches = [s for s in read_log(options.out) if asked is None or s.cell.data in asked]
        if options.across:
            searches = side_by_side(searches)
        pools_units = options.unit == "all"
        print(render(searches, options.against, BUDGET, pools_units=pools_units))
        return
    cells = open_cells(
        options.out,
        seeds=options.seeds,
        in_flight=options.in_flight,
        data=options.data or list(DEVELOPMENT),
        contenders=options.contenders,
    )
    for search in run_all(cells, options.processes):
        append(options.out, search)
        print(_line(search), flush=True)


def open_cells(
    log: Path,
    *,
    seeds: Sequence[int],
    in_flight: Sequence[int],
    data: Sequence[str],
    contenders: Sequence[str],
) -> list[Cell]:
    """Return the cells that the log lacks, seed after seed, so that pairs are complete early."""
    known = {search.cell for search in read_log(log)}
    cells = (
        Cell(seed=seed, in_flight=k, data=name, contender=contender)
        for seed, k, name, contender in itertools.product(seeds, in_flight, data, contenders)
    )
    return [cell for cell in cells if cell not in known]


def run_all(cells: Sequence[Cell], n_processes: int) -> Iterator[Search]:
    """Run the cells, yielding each search as it ends."""
    if n_processes == 1:
        yield from map(run_cell, cells)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(n_processes, mp_context=context) as pool:
        for done in as_completed([pool.submit(run_cell, cell) for cell in cells]):
            yield done.result()


def _line(search: Search) -> str:
    cell, best = search.cell, search.best_at()
    shown = "none" if best is None else f"{best:.4g}"
    return (
        f"{cell.contender}, {cell.data}, {cell.in_flight} in flight, seed {cell.seed}: best {shown}"
        f" in {search.n_trials} trials, {search.training_seconds:.1f} s of training,"
        f" {search.suggesting_seconds:.1f} s of suggestions"
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.search", description="Compare searches; see README.md."
    )
    parser.add_argument(
        "--contenders", nargs="+", choices=list(CONTENDERS), default=["tpe+asha", "stock"]
    )
    parser.add_argument(
        "--data", nargs="+", choices=list(SETS), help="default: the development sets; table: all"
    )
    parser.add_argument(
        "--seeds", nargs="+", type=_seeds, default=[range(10)], help="0 1 2, or 0-9"
    )
    parser.add_argument("--in-flight", nargs="+", type=int, default=[8, 32])
    parser.add_argument("--out", type=Path, default=OUT, help="the log, which cells are added to")
    parser.add_argument("--processes", type=int, default=1, help="over the cells")
    parser.add_argument("--table", action="store_true", help="of the log; searches nothing")
    parser.add_argument("--against", default="tpe+asha", help="the contender to compare with")
    parser.add_argument(
        "--unit", choices=["baseline", "all"], default="baseline", help="whose deviations"
    )
    parser.add_argument(
        "--across",
        action="store_true",
        help="compare numbers in flight with each other; contenders are named `rung_gp+asha @8`",
    )
    options = parser.parse_args()
    options.seeds = [seed for seeds in options.seeds for seed in seeds]
    return options


def _seeds(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)
