"""The table of settings against the algorithms themselves."""

import inspect

import pytest
from optuna.samplers import TPESampler

from tuner.search import catalog
from tuner.study_file import algorithms, not_yet


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


def test_optuna_takes_every_default_without_a_warning():
    TPESampler(**{name: s.default for name, s in algorithms.SAMPLERS["tpe"].items()})


@pytest.mark.parametrize("name", ["gamma", "weights", "prior_weight", "warn_independent_sampling"])
def test_what_is_refused_as_deprecated_is_deprecated(name):
    with pytest.warns(FutureWarning, match=name):
        TPESampler(**{name: 1})


def test_every_accepted_name_can_be_built_and_no_planned_one_is_accepted():
    assert set(catalog.SAMPLERS) == set(algorithms.SAMPLERS)
    assert set(catalog.PRUNERS) == set(algorithms.PRUNERS)
    assert not set(not_yet.SAMPLERS) & set(algorithms.SAMPLERS)
    assert not set(not_yet.PRUNERS) & set(algorithms.PRUNERS)
