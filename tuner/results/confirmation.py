"""A confirmation: the values of a search's best trials under fresh seeds.

For the command line, the report and the dashboard. `load_confirmation` takes the search's name or
the linked study's.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev

from tuner.results.probability import probabilities_of_best
from tuner.storage.connections.connection import Database, Snapshot
from tuner.storage.reading.rows import StudyRow, TrialRow, find_row, read_studies, read_trials
from tuner.storage.reading.shipping import read_linked_name, read_values
from tuner.study.trial import Direction, Params, TrialState
from tuner.study_file.identity import parse_spec
from tuner.study_file.model import Confirms


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A trial of the search, and the values of its params under fresh seeds."""

    trial: int  # its number in the search
    params: Params  # the searched ones
    search_value: float | None  # None: the search is gone
    values: tuple[float, ...]  # of the COMPLETE ones, by number in the linked study
    n_failed: int  # seeds under which it is FAIL
    n_open: int  # seeds that are still to come
    probability: float | None = None  # that it is really the best; None with fewer than two values

    @property
    def mean(self) -> float | None:
        """Return the mean of the confirmed values."""
        return fmean(self.values) if self.values else None

    @property
    def spread(self) -> float | None:
        """Return their standard deviation over seeds."""
        return stdev(self.values) if len(self.values) > 1 else None


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """The candidates, the best confirmed one first."""

    name: str  # of the linked study
    search: str
    metric: str
    direction: Direction
    n_seeds: int
    candidates: tuple[Candidate, ...]
    needs_study_file: bool = False  # then commands need the study file that names it
    seed_advice: str = ""  # how the user's code gets a seed

    @property
    def winner(self) -> Candidate | None:
        """Return the best by its confirmed mean; None while nothing is confirmed."""
        first = self.candidates[0]
        return first if first.values else None

    @property
    def is_finished(self) -> bool:
        """Return whether every seed was tried."""
        return not any(candidate.n_open for candidate in self.candidates)

    @property
    def luck(self) -> float | None:
        """Return by how much the search's best value exceeds the confirmed mean of its params.

        This part was luck: the best of many noisy values is one of the lucky ones.
        """
        known = [c for c in self.candidates if c.search_value is not None]
        rank = self.direction.rank
        best = min(known, key=lambda c: rank(c.search_value or 0.0), default=None)
        if best is None or best.mean is None or best.search_value is None:
            return None
        return rank(best.mean - best.search_value)

    @property
    def noise(self) -> float | None:
        """Return the standard deviation over seeds, pooled over the candidates."""
        spreads = [c.spread for c in self.candidates if c.spread is not None]
        return math.sqrt(fmean(s**2 for s in spreads)) if spreads else None

    @property
    def warning(self) -> str | None:
        """Return the sentence about seeds that change nothing; None if any of them does."""
        several = [c.values for c in self.candidates if len(c.values) > 1]
        if not several or any(len(set(values)) > 1 for values in several):
            return None
        advice = f"; if training has a random part, {self.seed_advice}" if self.seed_advice else ""
        return f"every seed gave the same value, so spread and probability mean nothing{advice}"


def load_confirmation(database: Database, name: str) -> Confirmation | None:
    """Return a search's newest confirmation, or None; raises `NotFound` for an unknown study."""
    with database.reading() as connection:
        return find_confirmation(connection, find_row(connection, name))


def find_confirmation(connection: Snapshot, study: StudyRow) -> Confirmation | None:
    """Find the confirmation in this snapshot."""
    if parse_spec(study.spec).confirms is not None:
        return _confirmation(connection, study)
    name = read_linked_name(connection, study.name, study.created_at.isoformat())
    linked = read_studies(connection, name) if name is not None else []
    return _confirmation(connection, linked[0]) if linked else None


def find_confirmations(
    connection: Snapshot, studies: Sequence[StudyRow]
) -> dict[int, Confirmation]:
    """Return the newest confirmation of each of these studies, by its id.

    `studies` are all, newest first. A study without a confirmation costs no query.
    """
    searches = {(row.name, row.created_at.isoformat()): row.study_id for row in studies}
    found: dict[int, Confirmation] = {}
    for row in studies:
        confirms = parse_spec(row.spec).confirms
        if confirms is None:
            continue
        search = searches.get((confirms.study, confirms.study_created_at))
        if search is not None and search not in found:
            found[search] = _confirmation(connection, row)
    return found


def _confirmation(connection: Snapshot, linked: StudyRow) -> Confirmation:
    spec = parse_spec(linked.spec)
    confirms = spec.confirms
    assert confirms is not None
    trials = read_trials(connection, linked.study_id)
    values = _search_values(connection, confirms)
    candidates = [
        _candidate(number, params, values.get(number), trials, confirms.seeds)
        for number, params in zip(confirms.trials, confirms.params, strict=True)
    ]
    return Confirmation(
        name=linked.name,
        search=confirms.study,
        metric=linked.metric,
        direction=linked.direction,
        n_seeds=confirms.seeds,
        candidates=rank(candidates, linked.direction),
        needs_study_file=spec.needs_study_file,
        seed_advice=spec.objective.seed_advice,
    )


def rank(candidates: Sequence[Candidate], direction: Direction) -> tuple[Candidate, ...]:
    """Sort by confirmed mean; those that fail under some seeds come after those that never do."""
    shares = probabilities_of_best([c.values for c in candidates], direction)
    judged = [replace(c, probability=p) for c, p in zip(candidates, shares, strict=True)]

    def key(candidate: Candidate) -> tuple[bool, bool, float, int]:
        mean = candidate.mean
        return mean is None, candidate.n_failed > 0, direction.rank(mean or 0.0), candidate.trial

    return tuple(sorted(judged, key=key))


def _candidate(
    number: int, params: Params, value: float | None, trials: Sequence[TrialRow], n_seeds: int
) -> Candidate:
    """Build a candidate; its trials are those with its params, which no other candidate has."""
    retried = {trial.retry_of for trial in trials}
    mine = [t for t in trials if _typed(t.params) == _typed(params) and t.number not in retried]
    values = [t.value for t in mine if t.state is TrialState.COMPLETE and t.value is not None]
    n_failed = sum(trial.state in (TrialState.FAIL, TrialState.PRUNED) for trial in mine)
    return Candidate(
        trial=number,
        params=params,
        search_value=value,
        values=tuple(values),
        n_failed=n_failed,
        n_open=max(0, n_seeds - len(values) - n_failed),
    )


def _typed(params: Params) -> dict[str, tuple[bool, object]]:
    """Tag booleans: a choice of 1 differs from one of `true`."""
    return {name: (isinstance(value, bool), value) for name, value in params.items()}


def _search_values(connection: Snapshot, confirms: Confirms) -> dict[int, float | None]:
    """Return the search's values; empty if it is gone or another study has its name."""
    rows = read_studies(connection, confirms.study)
    if not rows or rows[0].created_at.isoformat() != confirms.study_created_at:
        return {}
    return read_values(connection, rows[0].study_id, confirms.trials)
