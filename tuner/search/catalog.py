"""Samplers and pruners by their names in a study file."""

from collections.abc import Callable, Mapping
from typing import Any

from tuner.search.protocols import Pruner, Sampler
from tuner.search.pruners.any import AnyPruner
from tuner.search.pruners.asha import AshaPruner
from tuner.search.pruners.hyperband import HyperbandPruner
from tuner.search.pruners.none import NoPruner
from tuner.search.pruners.patient import PatientPruner
from tuner.search.pruners.percentile import PercentilePruner
from tuner.search.pruners.threshold import ThresholdPruner
from tuner.search.samplers.cmaes import CmaesSampler
from tuner.search.samplers.gp import GpSampler
from tuner.search.samplers.grid import GridSampler
from tuner.search.samplers.listed import ListedSampler
from tuner.search.samplers.mixed import MixedSampler
from tuner.search.samplers.nsga2 import Nsga2Sampler
from tuner.search.samplers.qmc import QmcSampler
from tuner.search.samplers.random import RandomSampler
from tuner.search.samplers.rung_gp import RungGpSampler
from tuner.search.samplers.rung_tpe import RungTpeSampler
from tuner.search.samplers.tpe import TpeSampler
from tuner.space import to_distributions
from tuner.study_file.model import Algorithm, StudySpec


def _build_percentile(spec: StudySpec, pruner: Algorithm) -> PercentilePruner:
    settings: dict[str, Any] = {"percentile": 50.0, **pruner.settings}
    return PercentilePruner(direction=spec.direction, **settings)


def _build_hyperband(spec: StudySpec, pruner: Algorithm) -> HyperbandPruner:
    settings: dict[str, Any] = dict(pruner.settings)
    length = settings["max_resource"] or spec.n_steps
    assert length is not None, "the study file refuses hyperband without the length of a trial"
    return HyperbandPruner(direction=spec.direction, **{**settings, "max_resource": length})


def _build_patient(spec: StudySpec, pruner: Algorithm) -> PatientPruner:
    settings: dict[str, Any] = dict(pruner.settings)
    wrapped = [_build(spec, part) for part in pruner.parts]
    return PatientPruner(
        direction=spec.direction, **settings, wrapped=wrapped[0] if wrapped else None
    )


def _build_asha(spec: StudySpec, pruner: Algorithm) -> AshaPruner:
    settings: dict[str, Any] = dict(pruner.settings)
    return AshaPruner(direction=spec.direction, **settings)


def _build_threshold(spec: StudySpec, pruner: Algorithm) -> ThresholdPruner:
    settings: dict[str, Any] = dict(pruner.settings)
    return ThresholdPruner(**settings)


def _build_any(spec: StudySpec, pruner: Algorithm) -> AnyPruner:
    return AnyPruner([_build(spec, part) for part in pruner.parts])


def _build(spec: StudySpec, pruner: Algorithm) -> Pruner:
    return PRUNERS[pruner.name](spec, pruner)


def _build_qmc(spec: StudySpec) -> QmcSampler:
    settings: dict[str, Any] = dict(spec.sampler.settings)
    distributions = to_distributions(spec.search_space)
    return QmcSampler(seed=spec.seed, distributions=distributions, **settings)


SAMPLERS: Mapping[str, Callable[[StudySpec], Sampler]] = {
    "cmaes": lambda spec: CmaesSampler(settings=spec.sampler.settings),
    "gp": lambda spec: GpSampler(settings=spec.sampler.settings),
    "grid": lambda spec: GridSampler(seed=spec.seed, space=spec.search_space),
    "mixed": lambda spec: MixedSampler(space=spec.search_space, n_steps=spec.n_steps),
    "nsga2": lambda spec: Nsga2Sampler(settings=spec.sampler.settings),
    "qmc": _build_qmc,
    "random": lambda spec: RandomSampler(
        seed=spec.seed, distributions=to_distributions(spec.search_space)
    ),
    "rung_gp": lambda spec: RungGpSampler(space=spec.search_space, n_steps=spec.n_steps),
    "rung_tpe": lambda spec: RungTpeSampler(space=spec.search_space),
    "tpe": lambda spec: TpeSampler(settings=spec.sampler.settings),
}
PRUNERS: Mapping[str, Callable[[StudySpec, Algorithm], Pruner]] = {
    "any": _build_any,  # a list
    "asha": _build_asha,
    "hyperband": _build_hyperband,
    "median": _build_percentile,
    "none": lambda spec, pruner: NoPruner(),
    "patient": _build_patient,
    "percentile": _build_percentile,
    "threshold": _build_threshold,
}


def build_sampler(spec: StudySpec) -> Sampler:
    """Build the spec's sampler; a study that confirms another one goes through its list."""
    if spec.confirms is not None:
        return ListedSampler(listed=spec.confirms.params, n_times=spec.confirms.seeds)
    return SAMPLERS[spec.sampler.name](spec)


def build_pruner(spec: StudySpec) -> Pruner:
    return _build(spec, spec.pruner)
