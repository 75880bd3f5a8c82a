"""Which study gets which devices of a machine: a pure function of the studies and the past."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

Units = frozenset[str]  # devices, such as "gpu:0"
NO_UNITS: Units = frozenset()
# Where studies outnumber devices, one keeps a device so much longer than an equal one that waits.
SLICE_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A study that could use devices."""

    name: str
    priority: int
    n_trials: int  # that could train here now, those that do included
    units_per_trial: int = 1
    used_seconds: float = 0.0  # device time that this machine has given it
    barred: Units = NO_UNITS  # devices that are drained for it


def allocate(
    units: Sequence[str], wishes: Sequence[Wish], held: Mapping[str, Units], busy: Units = NO_UNITS
) -> dict[str, Units]:
    """Give each study its devices, moving as few as possible, idle ones first.

    The highest priority gets all that it can use, then the next one. Equal ones share evenly; what
    cannot be divided, and devices that are fewer than studies, go to those that have used less.
    `held`: the devices of each study now; `busy`: those on which a trial trains.
    """
    counts = share(len(units), [_within(wish, units) for wish in wishes], held)
    found = dict.fromkeys((wish.name for wish in wishes), NO_UNITS)
    free = set(units)

    def take(wish: Wish, places: Iterable[Sequence[str]]) -> None:
        for place in places:
            is_free = free.issuperset(place) and not wish.barred.intersection(place)
            if is_free and counts[wish.name] - len(found[wish.name]) >= len(place):
                found[wish.name] |= frozenset(place)
                free.difference_update(place)

    wide = [wish for wish in wishes if wish.units_per_trial > 1]
    for wish in sorted(wide, key=lambda wish: -wish.units_per_trial):
        mine = held.get(wish.name, NO_UNITS)
        places = _places(units, wish.units_per_trial)
        # Its own places first, then those that disturb the fewest trials of others.
        take(
            wish, sorted(places, key=lambda place: (not mine >= set(place), len(busy & set(place))))
        )
    narrow = [wish for wish in wishes if wish.units_per_trial == 1]
    for wish in narrow:  # first what each one keeps
        mine = held.get(wish.name, NO_UNITS)
        kept = sorted((unit for unit in units if unit in mine), key=lambda unit: unit not in busy)
        take(wish, [(unit,) for unit in kept])
    for wish in narrow:
        take(wish, [(unit,) for unit in units])
    return found


def _within(wish: Wish, units: Sequence[str]) -> Wish:
    """Return the wish with no more trials than its devices that are not drained can train."""
    n_open = sum(unit not in wish.barred for unit in units) // wish.units_per_trial
    return replace(wish, n_trials=min(wish.n_trials, n_open))


def share(
    n_units: int, wishes: Sequence[Wish], held: Mapping[str, Units] | None = None
) -> dict[str, int]:
    """Return how many devices each study gets; see `allocate`."""
    counts = dict.fromkeys((wish.name for wish in wishes), 0)
    n_left = n_units
    for priority in sorted({wish.priority for wish in wishes}, reverse=True):
        equal = [wish for wish in wishes if wish.priority == priority]
        while candidates := [wish for wish in equal if _may_have_more(wish, counts, n_left)]:
            poorest = min(candidates, key=lambda wish: _rank(wish, counts, held or {}))
            counts[poorest.name] += poorest.units_per_trial
            n_left -= poorest.units_per_trial
    return counts


def _may_have_more(wish: Wish, counts: Mapping[str, int], n_left: int) -> bool:
    n_next = counts[wish.name] + wish.units_per_trial
    return wish.units_per_trial <= n_left and n_next <= wish.n_trials * wish.units_per_trial


def _rank(
    wish: Wish, counts: Mapping[str, int], held: Mapping[str, Units]
) -> tuple[int, float, str]:
    """Rank the studies of one priority; one that has the device in question keeps it a while."""
    has_it = len(held.get(wish.name, NO_UNITS)) > counts[wish.name]
    seconds = wish.used_seconds - (SLICE_SECONDS if has_it else 0.0)
    return counts[wish.name], seconds, wish.name


def _places(units: Sequence[str], size: int) -> list[tuple[str, ...]]:
    """Return the places of trials that use several devices, as agents form them."""
    return [tuple(units[at : at + size]) for at in range(0, len(units) - size + 1, size)]
