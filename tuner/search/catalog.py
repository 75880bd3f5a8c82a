"""Which sampler and which pruner a study file's names mean."""

from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

from tuner.search.protocols import ModelSampler, Pruner, Sampler
from tuner.search.pruners.asha import AshaPruner
from tuner.search.pruners.none import NoPruner
from tuner.search.samplers.random import RandomSampler
from tuner.search.samplers.tpe import TpeSampler
from tuner.space import to_distributions
from tuner.study_file.model import StudySpec


def _build_asha(spec: StudySpec) -> AshaPruner:
    settings: Mapping[str, Any] = spec.pruner.settings
    return AshaPruner(
        direction=spec.direction,
        min_resource=settings["min_resource"],
        reduction_factor=settings["reduction_factor"],
    )


SAMPLERS: Mapping[str, Callable[[StudySpec], Sampler]] = {
    "random": lambda spec: RandomSampler(
        seed=spec.seed, distributions=to_distributions(spec.search_space)
    ),
    "tpe": lambda spec: TpeSampler(settings=spec.sampler.settings),
}
PRUNERS: Mapping[str, Callable[[StudySpec], Pruner]] = {
    "asha": _build_asha,
    "none": lambda spec: NoPruner(),
}


def build_sampler(spec: StudySpec) -> Sampler:
    """The spec's sampler."""
    return SAMPLERS[spec.sampler.name](spec)


def build_pruner(spec: StudySpec) -> Pruner:
    """The spec's pruner."""
    return PRUNERS[spec.pruner.name](spec)


def is_model_sampler(sampler: Sampler) -> TypeGuard[ModelSampler]:
    """True when its suggestions depend on the trials so far."""
    return isinstance(sampler, ModelSampler)
