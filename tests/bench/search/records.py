"""The log: one JSON line per search, written when the search ends (README.md)."""

import fcntl
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

FORMAT = 1


@dataclass(frozen=True, kw_only=True, order=True)
class Cell:
    """What identifies a search."""

    seed: int
    in_flight: int
    data: str
    contender: str


@dataclass(kw_only=True)
class TrialRow:
    """A trial of a search; seconds are those of the device, from the search's start."""

    params: dict[str, Any]
    origin: str | None  # random, model or belief, if the sampler says so
    begun_epochs: int  # of the whole search, when it was suggested
    begun_seconds: float
    values: list[float] = field(default_factory=list)  # validation loss by epoch
    state: str = "RUNNING"  # or COMPLETE, PRUNED, DIVERGED; RUNNING: when the budget was used up
    value: float | None = None  # of a COMPLETE trial: its best epoch's
    ended_epochs: int | None = None  # of the whole search
    ended_seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Confirmed:
    """The best trial's params under fresh seeds: one number a seed, each of its best epoch."""

    val_loss: Sequence[float]
    test_loss: Sequence[float]
    test_metric: Sequence[float]  # higher is better
    metric: str  # accuracy or r2


@dataclass(frozen=True, kw_only=True)
class Search:
    """A finished search; without its trials, if only the results are needed."""

    cell: Cell
    n_epochs: int
    n_trials: int
    training_seconds: float
    suggesting_seconds: float  # suggestions and decisions
    bests: Sequence[tuple[int, float, float]]  # (epochs, seconds, a new best value)
    best_trial: int | None
    confirmed: Confirmed | None
    commit: str  # of the code, with a + if files differed from it
    trials: Sequence[TrialRow] = ()

    def best_at(self, *, epochs: float | None = None, seconds: float | None = None) -> float | None:
        """Return the value of the best trial that was COMPLETE by then."""
        known = [
            value
            for at, clock, value in self.bests
            if (epochs is None or at <= epochs) and (seconds is None or clock <= seconds)
        ]
        return min(known, default=None)

    def epochs_to(self, value: float) -> float | None:
        """Return the epochs after which a trial was as good; None if none was."""
        return min((at for at, _, best in self.bests if best <= value), default=None)


def to_line(search: Search) -> str:
    """Return the line of a search: numbers of trials have six digits, as columns."""
    names = [column.name for column in fields(TrialRow)] if search.trials else []
    trials = {name: [_short(getattr(trial, name)) for trial in search.trials] for name in names}
    head = asdict(replace(search, trials=()))
    del head["cell"], head["trials"]
    line = {"format": FORMAT, **asdict(search.cell), **head, "trials": trials}
    return json.dumps(line, separators=(",", ":")) + "\n"


def _short(value: Any) -> Any:
    match value:
        case float():
            return float(f"{value:.6g}")
        case list():
            return [_short(item) for item in value]
        case dict():
            return {name: _short(item) for name, item in value.items()}
    return value


def from_line(line: str, *, with_trials: bool = False) -> Search:
    """Read a line of the log."""
    row = json.loads(line)
    assert row.pop("format") == FORMAT, "a log of another version of the bench"
    cell = Cell(**{name: row.pop(name) for name in ("seed", "in_flight", "data", "contender")})
    columns, confirmed = row.pop("trials"), row.pop("confirmed")
    trials: list[TrialRow] = []
    if with_trials and columns:
        rows = zip(*columns.values(), strict=True)
        trials = [TrialRow(**dict(zip(columns, values, strict=True))) for values in rows]
    row["bests"] = tuple((int(at), clock, best) for at, clock, best in row["bests"])
    return Search(
        cell=cell,
        confirmed=Confirmed(**confirmed) if confirmed else None,
        trials=trials,
        **row,
    )


def read_log(file: Path, *, with_trials: bool = False) -> Iterator[Search]:
    """Read the searches of a log; a line that was cut off at the end is not one."""
    if not file.exists():
        return
    with file.open() as lines:
        for line in lines:
            if line.endswith("\n"):
                yield from_line(line, with_trials=with_trials)


def append(file: Path, search: Search) -> None:
    """Add a search, in place of a line at the end that was cut off.

    The lock is for other benches that write to the same log: no line of theirs is cut off.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+b") as log:
        fcntl.flock(log, fcntl.LOCK_EX)
        end = log.seek(0, 2)
        log.seek(0)
        if end:
            log.seek(end - 1)
            if log.read(1) != b"\n":
                log.truncate(_start_of_last_line(log, end))
        log.write(to_line(search).encode())


def _start_of_last_line(log: Any, end: int) -> int:
    block = 1 << 16
    while end > 0:
        start = max(0, end - block)
        log.seek(start)
        place: int = log.read(end - start).rfind(b"\n")
        if place >= 0:
            return start + place + 1
        end = start
    return 0
