"""A preview of a study file before anything runs: the grid's size and the first params."""

from collections.abc import Sequence
from dataclasses import dataclass

from tuner.search.catalog import build_pruner, build_sampler
from tuner.search.mirror import Mirror
from tuner.search.protocols import DrawSampler
from tuner.space import to_distributions
from tuner.study.trial import Params
from tuner.study_file.model import StudySpec


@dataclass(frozen=True, kw_only=True)
class Preview:
    """The part of `tuner check` besides the spec itself."""

    n_cells: int | None  # of a grid; None: the sampler has no end
    first: Sequence[Params]  # params of the first trials
    is_exact: bool  # False for a model, whose draws depend on the agents and their lanes


def preview(spec: StudySpec, n_params: int = 5) -> Preview:
    """Sample without a database and without any of the user's code."""
    build_pruner(spec)  # its settings must make one
    sampler = build_sampler(spec)
    if isinstance(sampler, DrawSampler):
        n_cells = sampler.n_draws()
        n_shown = n_params if n_cells is None else min(n_params, n_cells)
        first = [sampler.suggest(draw).params for draw in range(n_shown)]
    else:
        n_cells = None
        mirror = Mirror(to_distributions(spec.search_space), spec.direction)
        first = [s.params for s in sampler.propose(mirror, n_params, spec.seed)]
    return Preview(n_cells=n_cells, first=first, is_exact=isinstance(sampler, DrawSampler))
