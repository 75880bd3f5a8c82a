"""Number of lanes in a stack: measured once per kind of lane, and remembered.

More lanes share the cost of launching kernels and of the interpreter, until arithmetic, caches or
memory are the limit. The limit depends on the device and on the shapes, so it is measured.
"""

import json
import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from types import MappingProxyType
from typing import Protocol

import torch

from tuner.cgroups import Cgroups
from tuner.study.trial import Params
from tuner.training.data.dataset import Dataset
from tuner.training.device import fitting_threads
from tuner.training.fatal_errors import exits_are_errors, is_out_of_memory
from tuner.training.folders import replace_file
from tuner.training.groups.group import Group
from tuner.training.lane import DetachedLane
from tuner.training.losses.built_in import Loss
from tuner.training.model import Model

log = logging.getLogger(__name__)

MAX_ON_CPU = 64  # lanes: measured, nothing is gained beyond
MAX_ON_GPU = 1024
_MIN_GAIN = 1.05  # of throughput; less is not worth more lanes in a stack
_PROMPT_SHARE = 0.6  # of the best throughput
_HEAD_ROOM = 0.5  # of the free memory that a stack may take: snapshot and validation come on top
_KEEP_SECONDS = 24 * 3600.0  # a measurement next to other programs is repeated later
_SHARE = 0.05  # share of its time that a worker measures
_FIRST_SECONDS = 0.5  # which it may take at its start


@dataclass(frozen=True, kw_only=True)
class Size:
    """Number of lanes of a kind that train together."""

    best: int  # the fewest with nearly the best throughput
    prompt: int  # the fewest with most of it: each lane's own epochs are done earlier


class Sizes(Protocol):
    """The most lanes of one stack, per kind of lane (`Model.key`)."""

    def learn(self, model: Model, params: Params, seed: int) -> None:
        """Measure a kind of lane if it is new."""

    def of(self, key: str) -> int:
        """Return how many lanes of a known kind fit into a stack, at least 1."""

    def room(self, held: Mapping[str, int]) -> int:
        """Return how many more lanes have room, given these numbers by key."""

    def shrink(self, key: str, n_lanes: int, error: Exception) -> None:
        """Note that a stack of `n_lanes` failed with this error."""


class FixedSizes:
    """A fixed number of lanes on the device, whatever their kind."""

    def __init__(self, n_lanes: int) -> None:
        self._n_lanes = n_lanes
        self._limits: dict[str, int] = {}

    def learn(self, model: Model, params: Params, seed: int) -> None:
        self._limits.setdefault(model.key(params), model.max_lanes(params) or self._n_lanes)

    def of(self, key: str) -> int:
        return min(self._limits[key], self._n_lanes)

    def room(self, held: Mapping[str, int]) -> int:
        return max(0, self._n_lanes - sum(held.values()))

    def shrink(self, key: str, n_lanes: int, error: Exception) -> None:
        self._limits[key] = min(_smaller(key, n_lanes, error), self._limits[key])


class MeasuredSizes:
    """As many lanes as use the device well, by measurement."""

    def __init__(
        self,
        measure: "Callable[[Model, Params, int], Size]",
        *,
        most: int,
        is_prompt: bool = False,
        known: Mapping[str, Size] = MappingProxyType({}),
        remember: Callable[[Mapping[str, Size]], None] | None = None,
    ) -> None:
        """Build it from functions: `measure` a kind of lane, and `remember` new sizes.

        `known` gives sizes by key. `is_prompt`: all kinds together have room for the largest prompt
        size among the present ones; otherwise for as many lanes as their stacks hold.
        """
        self._measure = measure
        self._most = most
        self._is_prompt = is_prompt
        self._sizes = dict(known)
        self._remember = remember
        self._guesses: dict[str, Size] = {}
        self._shrunk: set[str] = set()
        self._started = perf_counter()
        self._spent_seconds = 0.0

    def learn(self, model: Model, params: Params, seed: int) -> None:
        key = model.key(params)
        if key in self._sizes:
            if self._sizes[key].best == 1:
                model.choose_plain(params, True)
            return
        if model.max_lanes(params) == 1:
            self._sizes[key] = Size(best=1, prompt=1)
            return
        started = perf_counter()
        allowed_seconds = _FIRST_SECONDS + _SHARE * (started - self._started)
        if self._sizes and self._spent_seconds > allowed_seconds:
            # A space with as many kinds as trials: nearly all lanes will train alone anyway.
            self._guesses[key] = list(self._sizes.values())[-1]
            return
        self._sizes[key] = self._measure(model, params, seed)
        self._spent_seconds += perf_counter() - started
        if self._remember is not None:
            self._remember({k: s for k, s in self._sizes.items() if k not in self._shrunk})

    def of(self, key: str) -> int:
        return self._size(key).best

    def room(self, held: Mapping[str, int]) -> int:
        """Return the room for lanes of the present kinds; at first, for one lane to measure."""
        if not held:
            known = self._sizes.values()
            return min(self._welcome(known), max(s.best for s in known)) if known else 1
        sizes = {key: self._size(key) for key in held}
        free = sum(max(0, sizes[key].best - n) for key, n in held.items())
        return max(0, min(free, self._welcome(sizes.values()) - sum(held.values())))

    def _welcome(self, sizes: Collection[Size]) -> int:
        """Return how many lanes of these kinds may train on the device at a time."""
        return max(size.prompt for size in sizes) if self._is_prompt else self._most

    def _size(self, key: str) -> Size:
        return self._sizes[key] if key in self._sizes else self._guesses[key]

    def shrink(self, key: str, n_lanes: int, error: Exception) -> None:
        known = self._size(key)
        best = min(_smaller(key, n_lanes, error), known.best)
        self._sizes[key] = Size(best=best, prompt=min(best, known.prompt))
        self._shrunk.add(key)  # for this study's data and code: no measure for the next one


def _smaller(key: str, n_lanes: int, error: Exception) -> int:
    """Return half after a lack of memory; after other errors 1, to isolate the faulty lane."""
    if is_out_of_memory(error):
        half = max(1, n_lanes // 2)
        log.warning("no memory for %d lanes of %s: from now on %d", n_lanes, key, half)
        return half
    log.warning("%d lanes of %s broke (%r): each continues alone", n_lanes, key, error)
    return 1


class Measurement:
    """Times steps of ever larger stacks on the study's own data."""

    def __init__(self, data: Dataset, loss: Loss, most: int) -> None:
        self._split = data.train
        self._like = data.train.like
        targets_NC = loss.targets(data.train.y_N, data.train.weight_N)
        self._targets_NC = targets_NC.to(self._like.dtype)
        self._most = most

    def __call__(self, model: Model, params: Params, seed: int) -> Size:
        """Measure powers of two; return 1 for a model that fails: its own training reports why."""
        seconds: dict[int, float] = {}  # per lane and step
        plain_seconds = float("inf")
        try:
            with (
                exits_are_errors(),
                torch.inference_mode(not model.uses_autograd),
                torch.no_grad(),
                fitting_threads(model, params),
            ):
                one = Group(model, [DetachedLane(params, seed)], self._like)
                n_lanes = 1
                while n_lanes <= self._most and self._fits(one, n_lanes) and _is_hopeful(seconds):
                    seconds[n_lanes] = self._time(one.repeated(n_lanes)) / n_lanes
                    n_lanes *= 2
                if model.choose_plain(params, True):
                    alone = Group(model, [DetachedLane(params, seed)], self._like)
                    plain_seconds = self._time(alone)
        except Exception as error:
            log.debug("measuring %s ended with %r", model.key(params), error)
        best = min(seconds.values(), default=0.0)
        if plain_seconds <= best:
            return Size(best=1, prompt=1)
        model.choose_plain(params, False)
        return Size(
            best=min((n for n, s in seconds.items() if s <= _MIN_GAIN * best), default=1),
            prompt=min((n for n, s in seconds.items() if s * _PROMPT_SHARE <= best), default=1),
        )

    def _time(self, group: Group) -> float:
        """Return the seconds of a step: the fastest of a few, since others use the machine too."""
        x_1BF = self._split.inputs(slice(group.batch_size))[None]
        target_11CB = self._targets_NC[: group.batch_size].T[None, None]
        target_1KCB = target_11CB.contiguous().expand(-1, len(group.seats), -1, -1)
        steps_K = torch.zeros(len(group.seats), dtype=torch.int64, device=x_1BF.device)
        fastest = float("inf")
        for is_timed in (False, True, True, True):
            started = perf_counter()
            group.stack.take_steps([x_1BF], target_1KCB, steps_K, group.update)
            if x_1BF.is_cuda:
                torch.cuda.synchronize()
            if is_timed:
                fastest = min(fastest, perf_counter() - started)
        return fastest

    def _fits(self, one: Group, n_lanes: int) -> bool:
        """Return whether so many rows fit in memory; the buffers of steps show when they run."""
        return n_lanes * one.n_bytes() <= _HEAD_ROOM * _free_bytes(self._like.device)


def _is_hopeful(seconds: Mapping[int, float]) -> bool:
    """Return whether one of the last two doublings was worth it."""
    times = list(seconds.values())
    return len(times) < 3 or min(times[-2:]) * _MIN_GAIN <= min(times[:-2])


def _free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free
    try:
        return Cgroups().memory().free
    except (OSError, ValueError):
        return 2**33


class SizeFile:
    """Measurements of this machine, for the next worker."""

    def __init__(self, path: Path, scope: str) -> None:
        """Open the file; `scope` names more facts for sizes: device, threads, data."""
        self._path = path
        self._scope = scope

    def load(self) -> dict[str, Size]:
        """Return sizes by key; empty if the file is missing, damaged or old."""
        try:
            entry = json.loads(self._path.read_text())[self._scope]
            is_fresh = 0 <= time.time() - float(entry["time"]) < _KEEP_SECONDS
            if not is_fresh:
                return {}
            sizes = {str(key): Size(**size) for key, size in entry["sizes"].items()}
            return {k: s for k, s in sizes.items() if 1 <= int(s.prompt) <= int(s.best)}
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return {}

    def save(self, sizes: Mapping[str, Size]) -> None:
        """Save them with those of other scopes; a simultaneous write of another worker may win."""
        try:
            content = json.loads(self._path.read_text())
        except (OSError, ValueError):
            content = {}
        content = content if isinstance(content, dict) else {}
        content[self._scope] = {
            "time": time.time(),
            "sizes": {k: asdict(s) for k, s in sizes.items()},
        }
        try:
            replace_file(self._path, json.dumps(content).encode())
        except OSError as error:
            log.debug("sizes are not kept: %s", error)
