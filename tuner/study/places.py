"""Names of places, which are the devices of one trial, such as two GPUs of a machine."""

import re
from collections.abc import Iterable, Sequence

_SEVERAL = re.compile(r"[a-z]+:(\d{1,6})(?:-(\d{1,6})|((?:\+\d{1,6})+))", re.ASCII)
_MAX_UNITS = 4096  # of one place: names come from other machines


def name_place(kind: str, indices: Sequence[int]) -> str:
    """Return `gpu:0`, `gpu:0-3` for neighbours, `gpu:0+2` for others."""
    first, last = indices[0], indices[-1]
    if len(indices) > 1 and list(indices) == list(range(first, last + 1)):
        return f"{kind}:{first}-{last}"
    return f"{kind}:{'+'.join(map(str, indices))}"


def place_of(worker: str) -> str:
    """Return the place of a worker; several workers on one are `gpu:0#0` and `gpu:0#1`."""
    return worker.partition("#")[0]


def count_units(places: Iterable[str]) -> int:
    """Return the GPUs, or shares of the CPU, of places or workers; each place counts once.

    A trial uses this many device seconds a second.
    """
    return sum(_n_units(place) for place in {place_of(place) for place in places})


def _n_units(place: str) -> int:
    found = _SEVERAL.fullmatch(place)
    if found is None:
        return 1
    first, last, others = found.groups()
    return int(last) - int(first) + 1 if last else 1 + others.count("+")


def overlaps(one: str, other: str) -> bool:
    """Return whether two places share a device: `gpu:0` is part of `gpu:0-3`, and has slices."""
    if one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/"):
        return True
    return bool(units_of(one) & units_of(other))


def units_of(place: str) -> set[str]:
    """Return the single devices of a place; that of a slice is the slice itself."""
    found = _SEVERAL.fullmatch(place)
    if found is None:
        return {place}
    kind = place.partition(":")[0]
    first, last, others = found.groups()
    indices = (
        range(int(first), int(last) + 1)
        if last and int(last) - int(first) <= _MAX_UNITS
        else [int(first), *(int(index) for index in (others or "").split("+") if index)]
    )
    return {f"{kind}:{index}" for index in indices}
