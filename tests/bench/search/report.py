"""The tables, in Markdown: contenders against a baseline, for each number of trials in flight."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from tests.bench.search.comparing import (
    Interval,
    Measure,
    bootstrap,
    mean_ranks,
    null_differences,
    paired_differences,
)
from tests.bench.search.records import Search

STOCK = "stock"


def fresh(search: Search) -> float | None:
    """Return the best trial's validation loss under fresh seeds."""
    return statistics.mean(search.confirmed.val_loss) if search.confirmed else None


def test_loss(search: Search) -> float | None:
    return statistics.mean(search.confirmed.test_loss) if search.confirmed else None


def test_metric(search: Search) -> float | None:
    """Return the main metric of the test rows with its sign changed: lower is better."""
    return -statistics.mean(search.confirmed.test_metric) if search.confirmed else None


def best(share: float, search: Search) -> float | None:
    """Return the best value by a share of the epochs.

    A search that had no COMPLETE trial by then has the value of its first one, which came later:
    without it, the pairs of slow starters would be missing.
    """
    value = search.best_at(epochs=share * search.n_epochs)
    return search.bests[0][2] if value is None and search.bests else value


MEASURES: Mapping[str, Measure] = {
    "best at 25 %": partial(best, 0.25),
    "best at 50 %": partial(best, 0.5),
    "best at 100 %": partial(best, 1.0),
    "fresh seeds": fresh,
    "test loss": test_loss,
    "test metric": test_metric,
}
_RANKED = ("best at 100 %", "fresh seeds")


def render(
    searches: Sequence[Search], against: str, budget: int, *, pools_units: bool = False
) -> str:
    """Return the tables; searches with another budget do not belong to them.

    `pools_units`: the unit is the standard deviation over all contenders, not the baseline's.
    """
    searches = [search for search in searches if search.n_epochs == budget]
    parts = [_hours(searches), _commits(searches)]
    for in_flight in sorted({search.cell.in_flight for search in searches}):
        of_k = [search for search in searches if search.cell.in_flight == in_flight]
        among = of_k if pools_units else []
        title = f"## {in_flight} in flight" if in_flight else "## Numbers in flight"
        parts += [title, _differences(of_k, against, among)]
        parts += ["Medians:", _medians(of_k), "By data set, under fresh seeds:"]
        parts += [_by_data(of_k, against, among)]
    return "\n\n".join(parts)


def side_by_side(searches: Sequence[Search]) -> list[Search]:
    """Return the searches with the number in flight as a part of the contender's name.

    So numbers in flight are compared like contenders.
    """
    return [
        replace(
            search,
            cell=replace(
                search.cell,
                contender=f"{search.cell.contender} @{search.cell.in_flight}",
                in_flight=0,
            ),
        )
        for search in searches
    ]


def _hours(searches: Sequence[Search]) -> str:
    seconds = sum(s.training_seconds + s.suggesting_seconds for s in searches)
    return f"{len(searches)} searches, {seconds / 3600:.2f} hours of one core."


def _commits(searches: Sequence[Search]) -> str:
    """Name the code of each contender: a log may hold searches of several versions."""
    found: dict[str, list[str]] = {}
    for name, mine in _by_contender(searches).items():
        found.setdefault(", ".join(sorted({s.commit for s in mine})), []).append(name)
    return "Commits: " + "; ".join(f"{which}: {', '.join(ns)}" for which, ns in found.items()) + "."


def _differences(searches: Sequence[Search], against: str, among: Sequence[Search]) -> str:
    """Differences to the baseline in standard deviations between its searches."""
    by_name = _by_contender(searches)
    baseline = by_name.get(against, [])
    rows = [[f"against {against}", "pairs", *MEASURES, "best at equal device time"]]
    for name, mine in by_name.items():
        if name == against:
            continue
        found = [
            bootstrap(paired_differences(mine, baseline, measure, among))
            for measure in MEASURES.values()
        ]
        timed = bootstrap(_at_equal_time(mine, baseline, among))
        n = max((interval.n for interval in found if interval), default=0)
        rows.append([name, str(n), *(_shown(i, n) for i in found), _shown(timed, n)])
    nulls = [bootstrap(null_differences(baseline, m, among)) for m in MEASURES.values()]
    n = max((interval.n for interval in nulls if interval), default=0)
    widths = [f"{null.half_width:.2f}" if null and null.is_known else "-" for null in nulls]
    rows.append(["can be resolved", str(n), *widths, ""])
    return _table(rows)


def _at_equal_time(
    searches: Sequence[Search], baseline: Sequence[Search], among: Sequence[Search]
) -> dict[str, list[float]]:
    """Compare the best values when the baseline's median search on the data set has ended.

    A search that has used up its epochs earlier has its final value then.
    """
    times: dict[str, list[float]] = {}
    for search in baseline:
        seconds = search.training_seconds + search.suggesting_seconds
        times.setdefault(search.cell.data, []).append(seconds)
    ends = {name: statistics.median(seconds) for name, seconds in times.items()}
    return paired_differences(
        searches,
        baseline,
        lambda search: search.best_at(seconds=ends.get(search.cell.data, 0.0)),
        among,
    )


def _medians(searches: Sequence[Search]) -> str:
    by_name = _by_contender(searches)
    ranks = {what: mean_ranks(searches, MEASURES[what]) for what in _RANKED}
    head = ["contender", "searches", "trials", "seconds of training", "of suggestions"]
    head += [f"mean rank, {what}" for what in _RANKED]
    head += ["epochs to stock's final value", "never reached it"]
    rows = [head]
    for name, mine in by_name.items():
        shares = _shares_to(mine, by_name.get(STOCK, []))
        rows.append(
            [
                name,
                str(len(mine)),
                f"{statistics.median(search.n_trials for search in mine):.0f}",
                f"{statistics.median(search.training_seconds for search in mine):.1f}",
                f"{statistics.median(search.suggesting_seconds for search in mine):.1f}",
                *(f"{ranks[w][name]:.2f}" if name in ranks[w] else "-" for w in _RANKED),
                _share(statistics.median(shares)) if shares else "-",
                f"{sum(map(math.isinf, shares))} of {len(shares)}" if shares else "-",
            ]
        )
    return _table(rows)


def _shares_to(searches: Sequence[Search], stock: Sequence[Search]) -> list[float]:
    """Return the share of the epochs to the final value of stock's search of the same seed."""
    finals = {(s.cell.data, s.cell.in_flight, s.cell.seed): s.best_at() for s in stock}
    shares = []
    for search in searches:
        final = finals.get((search.cell.data, search.cell.in_flight, search.cell.seed))
        if final is not None:
            at = search.epochs_to(final)
            shares.append(math.inf if at is None else at / search.n_epochs)
    return shares


def _share(share: float) -> str:
    return "never" if math.isinf(share) else f"{share:.0%}"


def _by_data(searches: Sequence[Search], against: str, among: Sequence[Search]) -> str:
    """The mean value of each contender, and its difference to the baseline."""
    by_name = _by_contender(searches)
    baseline = by_name.get(against, [])
    sets = list(dict.fromkeys(search.cell.data for search in searches))
    rows = [["contender", *sets]]
    for name, mine in by_name.items():
        differences = paired_differences(mine, baseline, fresh, among)
        cells = []
        for data in sets:
            values = [v for s in mine if s.cell.data == data and (v := fresh(s)) is not None]
            interval = bootstrap({data: differences.get(data, [])})
            shown = f"{statistics.mean(values):.4g}" if values else "-"
            cells.append(shown if name == against else f"{shown}: {_shown(interval)}")
        rows.append([name, *cells])
    return _table(rows)


def _by_contender(searches: Sequence[Search]) -> dict[str, list[Search]]:
    found: dict[str, list[Search]] = {}
    for search in searches:
        found.setdefault(search.cell.contender, []).append(search)
    return found


def _shown(interval: Interval | None, n_expected: int | None = None) -> str:
    """Return mean and interval, with the number of pairs if some lack the value."""
    if interval is None:
        return "-"
    text = f"{interval.mean:+.2f}"
    text += f" [{interval.low:+.2f}, {interval.high:+.2f}]" if interval.is_known else " [?]"
    is_short = n_expected is not None and interval.n < n_expected
    return f"{text} (n {interval.n})" if is_short else text


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
