"""The table of settings against the algorithms themselves."""

import inspect

import pytest
from optuna import pruners
from optuna.samplers import CmaEsSampler, GPSampler, NSGAIISampler, QMCSampler, TPESampler

from tuner.search import catalog
from tuner.study_file.algorithms import reading as algorithms


def test_the_settings_of_tpe_are_those_of_optuna():
    parameters = inspect.signature(TPESampler).parameters
    known = algorithms.SAMPLERS["tpe"]
    refused = algorithms.SETTING_HINTS["tpe"]
    assert set(known) | set(refused) == set(parameters)
    assert not set(known) & set(refused)
    for name, setting in known.items():
        default = parameters[name].default
        if name == "multivariate":
            assert default is None  # with one objective this means True, which we write out
            assert setting.default is True
        else:
            assert setting.default == default
            assert type(setting.default) is type(default)


# What cannot stand in a file: functions, other samplers, trials, several objectives.
NO_TEXT = {
    "qmc": {"independent_sampler", "warn_asynchronous_seeding", "warn_independent_sampling"},
    "cmaes": {
        *("independent_sampler", "warn_independent_sampling", "source_trials"),
        *("use_separable_cma", "lr_adapt"),  # variants that nobody has asked for yet
    },
    "gp": {"independent_sampler", "constraints_func", "warn_independent_sampling"},
    "nsga2": {
        *("mutation", "crossover", "constraints_func", "elite_population_selection_strategy"),
        *("child_generation_strategy", "after_trial_strategy"),
    },
}
OPTUNAS = {"qmc": QMCSampler, "cmaes": CmaEsSampler, "gp": GPSampler, "nsga2": NSGAIISampler}


@pytest.mark.parametrize("name", OPTUNAS)
def test_the_settings_of_samplers_are_those_of_optuna(name):
    parameters = inspect.signature(OPTUNAS[name]).parameters
    known, refused = algorithms.SAMPLERS[name], algorithms.SETTING_HINTS[name]
    assert set(known) | set(refused) | NO_TEXT[name] == set(parameters)
    assert not set(known) & set(refused)
    differing = {key for key, s in known.items() if s.default != parameters[key].default}
    assert differing == ({"scramble"} if name == "qmc" else set())


@pytest.mark.parametrize(
    ("name", "optunas", "left_out"),
    [
        ("median", pruners.MedianPruner, set()),
        ("percentile", pruners.PercentilePruner, set()),
        ("threshold", pruners.ThresholdPruner, set()),
        ("patient", pruners.PatientPruner, {"wrapped_pruner"}),
        ("hyperband", pruners.HyperbandPruner, {"bootstrap_count"}),
    ],
)
def test_the_settings_of_pruners_are_those_of_optuna(name, optunas, left_out):
    parameters = inspect.signature(optunas).parameters
    known = algorithms.PRUNERS[name]
    assert set(known) | left_out == set(parameters)
    for key, setting in known.items():
        default = parameters[key].default
        if default is inspect.Parameter.empty:
            assert setting.example
            assert setting.default is None
        else:
            assert setting.default == (None if default == "auto" else default)


def test_optuna_takes_every_default_without_a_warning():
    TPESampler(**{name: s.default for name, s in algorithms.SAMPLERS["tpe"].items()})


@pytest.mark.parametrize("name", ["gamma", "weights", "prior_weight", "warn_independent_sampling"])
def test_what_is_refused_as_deprecated_is_deprecated(name):
    with pytest.warns(FutureWarning, match=name):
        TPESampler(**{name: 1})


def test_every_accepted_name_can_be_built():
    assert set(catalog.SAMPLERS) == set(algorithms.SAMPLERS)
    assert set(catalog.PRUNERS) == {*algorithms.PRUNERS, "any"}
