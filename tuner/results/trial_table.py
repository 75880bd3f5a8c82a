"""All trials of a study as columns: 100,000 of them are a few megabytes, and cheap to read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, json_to_distribution

from tuner.space import decode_param
from tuner.storage.reading.columns import STATES, Floats, Ints, ParamColumn, TrialColumns
from tuner.study.trial import Direction, Params, ParamValue

COMPLETE, PRUNED, FAIL, RUNNING, RELEASED, WAITING = range(len(STATES))
Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class ParamTable:
    """One parameter of all trials."""

    distribution: str  # Optuna's JSON, as it was given last
    values: Floats  # as Optuna stores them; nan: the trial has none

    @property
    def kind(self) -> BaseDistribution:
        return _parse_distribution(self.distribution)


@lru_cache(maxsize=1024)
def _parse_distribution(stored: str) -> BaseDistribution:
    return json_to_distribution(stored)


@dataclass(frozen=True, kw_only=True)
class TrialTable:
    """Trials by number, ascending; never changed, only replaced."""

    numbers: Ints
    states: Ints  # places in `STATES`
    values: Floats  # nan: none
    n_steps: Ints
    began: Floats  # of the last attempt, in seconds since 1970
    started: Floats  # of the first attempt, likewise
    ended: Floats
    seconds: Floats  # on a device
    agents: Ints  # ordinals; -1: none
    devices: Ints  # places in `device_names`
    attempts: Ints
    device_names: tuple[str, ...]
    params: Mapping[str, ParamTable]
    failures: Mapping[int, tuple[str | None, str]]  # number -> failure class, reason
    given: Mapping[int, Params]  # params with which WAITING trials were enqueued

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def highest(self) -> int:
        """Return the highest number; -1 without trials."""
        return int(self.numbers[-1]) if len(self) else -1

    @property
    def open_numbers(self) -> list[int]:
        """Return those that are not final: they will change."""
        numbers: list[int] = self.numbers[self.states >= RUNNING].tolist()
        return numbers

    def find(self, number: int) -> int | None:
        """Return the place of a trial."""
        place = int(np.searchsorted(self.numbers, number))
        return place if place < len(self) and self.numbers[place] == number else None

    def finite(self, state: int = COMPLETE) -> Mask:
        """Return the trials of a state that have a finite value."""
        mask: Mask = (self.states == state) & np.isfinite(self.values)
        return mask

    def best_first(self, direction: Direction, n: int) -> list[int]:
        """Return the places of the best COMPLETE trials, ties by number."""
        places = np.flatnonzero(self.finite())
        order = np.argsort(direction.rank(self.values[places]), kind="stable")[:n]
        best: list[int] = places[order].tolist()
        return best

    def params_of(self, place: int) -> Params:
        """Return the params as the objective got them."""
        found: dict[str, ParamValue] = {}
        for name, param in self.params.items():
            value = param.values[place]
            if np.isfinite(value):
                found[name] = decode_param(param.distribution, float(value))
        return found


def empty_table() -> TrialTable:
    """Return the table of a study without trials."""
    ints, floats = np.empty(0, np.int64), np.empty(0, np.float64)
    return TrialTable(
        numbers=ints,
        states=ints,
        values=floats,
        n_steps=ints,
        began=floats,
        started=floats,
        ended=floats,
        seconds=floats,
        agents=ints,
        devices=ints,
        attempts=ints,
        device_names=("",),
        params={},
        failures={},
        given={},
    )


_COLUMNS = ("numbers", "states", "values", "n_steps", "began", "started", "ended", "seconds",
            "agents", "attempts")  # fmt: skip


def merge(
    table: TrialTable, news: TrialColumns | None, params: Sequence[ParamColumn]
) -> TrialTable:
    """Return the table with these trials added or replaced."""
    if news is None:
        return table
    numbers = np.union1d(table.numbers, news.numbers)
    old = np.searchsorted(numbers, table.numbers)
    new = np.searchsorted(numbers, news.numbers)
    changed = {
        name: _placed(old, getattr(table, name), new, getattr(news, name)) for name in _COLUMNS
    }
    names, codes = _encode(table.device_names, news.devices)
    return replace(
        table,
        **changed,
        devices=_placed(old, table.devices, new, codes),
        device_names=names,
        params=_merge_params(table, old, numbers, params),
        failures={**table.failures, **news.failures},
        given={**_without(table.given, news.numbers), **news.given},
    )


def _without(given: Mapping[int, Params], numbers: Ints) -> dict[int, Params]:
    gone = set(numbers.tolist()) if given else set()
    return {number: params for number, params in given.items() if number not in gone}


def _placed(old_places: Ints, old: NDArray, places: Ints, new: NDArray) -> NDArray:  # type: ignore[type-arg]
    """Merge two arrays by place; together they fill every place."""
    size = int(max(old_places[-1] if len(old_places) else -1, places[-1])) + 1
    column = np.empty(size, old.dtype)
    column[old_places] = old
    column[places] = new
    return column


def _encode(known: tuple[str, ...], given: Sequence[str]) -> tuple[tuple[str, ...], Ints]:
    codes = {name: code for code, name in enumerate(known)}
    coded = np.fromiter((codes.setdefault(name, len(codes)) for name in given), np.int64)
    return tuple(codes), coded


def _merge_params(
    table: TrialTable, old_places: Ints, numbers: Ints, news: Sequence[ParamColumn]
) -> dict[str, ParamTable]:
    """Merge params: one that a trial had never changes."""
    merged: dict[str, ParamTable] = {}
    fresh = {column.name: column for column in news}
    for name in (*table.params, *(n for n in fresh if n not in table.params)):
        column = np.full(len(numbers), np.nan)
        old, new = table.params.get(name), fresh.get(name)
        if old is not None:
            column[old_places] = old.values
        if new is not None:
            column[np.searchsorted(numbers, new.numbers)] = new.values
        distribution = new.distribution if new is not None else old.distribution if old else ""
        merged[name] = ParamTable(distribution=distribution, values=column)
    return merged
