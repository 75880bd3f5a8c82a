"""What a study file amounts to before anything runs: the grid's size, first params, warnings."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tuner.search.catalog import build_pruner, build_sampler
from tuner.search.mirror import Mirror
from tuner.search.protocols import DrawSampler
from tuner.space import to_distributions
from tuner.study.trial import Params
from tuner.study_file.model import Choice, FloatRange, IntRange, StudySpec

_DECADES = 100.0  # a range wider than two decades


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What `tuner check` shows beside the spec itself."""

    n_cells: int | None  # of a grid; None: the sampler has no end
    first: Sequence[Params]  # what the first trials would get
    warnings: Sequence[str]


def preview(spec: StudySpec, n_params: int = 5) -> Preview:
    """Samples without a database and without any code of the user's."""
    build_pruner(spec)  # its settings must make one
    sampler = build_sampler(spec)
    if isinstance(sampler, DrawSampler):
        n_cells = sampler.n_draws()
        n_shown = n_params if n_cells is None else min(n_params, n_cells)
        first = [sampler.suggest(draw).params for draw in range(n_shown)]
    else:
        n_cells = None
        mirror = Mirror(to_distributions(spec.search_space), spec.direction)
        first = [s.params for s in sampler.propose(mirror, n_params, spec.seed, {})]
    return Preview(n_cells=n_cells, first=first, warnings=find_warnings(spec, n_cells))


def find_warnings(spec: StudySpec, n_cells: int | None) -> list[str]:
    """What is allowed and probably not meant."""
    found = [text for name in spec.search_space if (text := _range_warning(spec, name))]
    trials = spec.budget.trials
    if n_cells is not None and trials is not None and n_cells > trials:
        found.append(f"budget.trials: the grid has {n_cells:,} cells, {trials:,} will be trained")
    startup = spec.sampler.settings.get("n_startup_trials")
    if isinstance(startup, int) and trials is not None and 0 < trials <= startup:
        found.append(
            f"budget.trials: {trials} are not more than the sampler's n_startup_trials "
            f"({startup}): all of them are drawn at random"
        )
    first_rung = spec.pruner.settings.get("min_resource")
    if isinstance(first_rung, int) and spec.n_steps is not None and first_rung >= spec.n_steps:
        found.append(
            f"pruner: it first compares after {first_rung} steps, a trial has {spec.n_steps}: "
            "nothing is pruned"
        )
    return found


def _range_warning(spec: StudySpec, name: str) -> str:
    given = spec.search_space[name]
    path = f"search_space.{name}"
    if isinstance(given, Choice):
        return f"{path}: one choice only; it is constant" if len(given.choices) == 1 else ""
    if given.low == given.high:
        return f"{path}: low equals high; it is constant"
    if isinstance(given, IntRange) or given.log or given.step is not None:
        return ""
    return _decades_warning(path, given)


def _decades_warning(path: str, given: FloatRange) -> str:
    if given.low <= 0 or given.high / given.low <= _DECADES:
        return ""
    n_decades = math.log10(given.high / given.low)
    return f"{path}: {n_decades:.0f} decades on an even scale; `log: true` is probably meant"
