"""Optuna's TPE on the mirror."""

import json
import math
import random
import warnings
from dataclasses import replace

import optuna
import pytest
from optuna.exceptions import ExperimentalWarning

from tuner.search.mirror import Mirror
from tuner.search.samplers.random import RandomSampler
from tuner.search.samplers.tpe import TpeSampler
from tuner.space import choose_params, to_distributions
from tuner.study.seeds import derive_seed
from tuner.study.trial import Direction, Params, TrialRecord, TrialState
from tuner.study_file.params.space import Choice, FloatRange, IntRange, When

DISTRIBUTIONS = to_distributions(
    {
        "learning_rate": FloatRange(low=1e-4, high=1e-1, log=True),
        "dropout": FloatRange(low=0, high=0.5, step=0.1),
        "n_layers": IntRange(low=1, high=4),
        "batch_size": Choice(choices=(16, 32, 64)),
        "width": IntRange(low=8, high=8),
    }
)


def loss(params: Params) -> float:
    """Best at learning_rate 1e-2, dropout 0, 3 layers, batches of 32."""
    rate, dropout, n_layers = params["learning_rate"], params["dropout"], params["n_layers"]
    assert isinstance(rate, float)
    assert isinstance(dropout, float)
    assert isinstance(n_layers, int)
    batch = 0.0 if params["batch_size"] == 32 else 0.5
    return (math.log10(rate) + 2) ** 2 + dropout + abs(n_layers - 3) + batch


def finished(number: int, params: Params) -> TrialRecord:
    """Every third is COMPLETE, every ninth diverged, the others are PRUNED."""
    is_complete, is_diverged = number % 3 == 0, number % 9 == 4
    state = TrialState.COMPLETE if is_complete else TrialState.PRUNED
    return TrialRecord(
        number=number,
        state=TrialState.FAIL if is_diverged else state,
        params=params,
        value=loss(params) if is_complete else None,
        last_step=1 + number % 2 * 2,
        last_value=loss(params),
        diverged=is_diverged,
    )


def running(number: int, params: Params) -> TrialRecord:
    return TrialRecord(
        number=number,
        state=TrialState.RUNNING,
        params=params,
        value=None,
        last_step=None,
        last_value=None,
    )


def complete(number: int, params: Params, value: float) -> TrialRecord:
    return TrialRecord(
        number=number,
        state=TrialState.COMPLETE,
        params=params,
        value=value,
        last_step=None,
        last_value=None,
    )


def mirror_of(n_finished: int, n_running: int = 0) -> Mirror:
    sampler = RandomSampler(seed=3, distributions=DISTRIBUTIONS)
    mirror = Mirror(DISTRIBUTIONS, Direction.MINIMIZE)
    mirror.update(finished(n, sampler.suggest(n).params) for n in range(n_finished))
    mirror.update(
        running(n, sampler.suggest(n).params) for n in range(n_finished, n_finished + n_running)
    )
    return mirror


@pytest.mark.parametrize("settings", [{}, {"multivariate": False}, {"group": True}])
@pytest.mark.parametrize("n_finished", [0, 5, 40])
def test_a_suggestion_can_be_derived_again_from_its_basis(settings, n_finished):
    sampler = TpeSampler(settings=settings)
    mirror = mirror_of(n_finished, n_running=4)
    suggestions = sampler.propose(mirror, 3, 11)
    # The study goes on: running trials end, new ones come.
    new = RandomSampler(seed=4, distributions=DISTRIBUTIONS)
    mirror.update(
        finished(t.number, t.params) for t in list(mirror.shown()) if not t.state.is_finished()
    )
    mirror.update(finished(n, new.suggest(n).params) for n in range(n_finished + 4, 80))
    for suggestion in suggestions:
        basis = suggestion.basis
        assert basis is not None
        earlier = mirror.as_of(basis)
        again = sampler.propose(earlier, basis.place + 1, basis.seed)
        assert again[basis.place].params == suggestion.params


def test_the_basis_says_what_was_seen():
    suggestions = TpeSampler(settings={}).propose(mirror_of(20, n_running=2), 2, 11)
    bases = [suggestion.basis for suggestion in suggestions]
    assert all(basis is not None for basis in bases)
    assert [(b.seed, b.place, b.highest, b.open_numbers, b.hidden) for b in bases if b] == [
        (11, 0, 21, (20, 21), ()),
        (11, 1, 21, (20, 21), ()),
    ]


def test_params_are_plain_values_in_the_order_of_the_space():
    for n_finished in (0, 40):
        for suggestion in TpeSampler(settings={}).propose(mirror_of(n_finished), 5, 1):
            assert list(suggestion.params) == list(DISTRIBUTIONS)
            assert {type(value) for value in suggestion.params.values()} == {float, int}
            assert json.loads(json.dumps(suggestion.params)) == suggestion.params
            assert suggestion.params["width"] == 8


def test_running_trials_are_seen():
    sampler = TpeSampler(settings={})
    alone = sampler.propose(mirror_of(40), 4, 5)
    beside = sampler.propose(mirror_of(40, n_running=8), 4, 5)
    assert [s.params for s in alone] != [s.params for s in beside]
    blind = TpeSampler(settings={"constant_liar": False})
    same_seen = [s.params for s in blind.propose(mirror_of(40), 4, 5)]
    assert same_seen == [s.params for s in blind.propose(mirror_of(40, n_running=8), 4, 5)]


def test_earlier_places_of_a_batch_count_as_running():
    sampler = TpeSampler(settings={})
    mirror = mirror_of(40)
    first, second = sampler.propose(mirror, 2, 5)
    assert first.params == sampler.propose(mirror, 1, 5)[0].params
    assert first.params != second.params
    assert len(mirror.shown()) == 40  # the mirror itself is left alone


@pytest.mark.parametrize("settings", [{}, {"multivariate": False}])
def test_the_model_is_optunas_own(settings):
    """The same trials in a real Optuna study, asked with the same seed, give the same params."""
    mirror = mirror_of(40, n_running=3)
    (suggestion,) = TpeSampler(settings=settings).propose(mirror, 1, 9)
    optunas = optuna.samplers.TPESampler(**settings, seed=derive_seed(9, "place", 0))
    study = optuna.create_study(sampler=optunas)
    study.add_trials(
        optuna.create_trial(
            state=trial.state,
            value=trial.value,
            params=trial.params,
            distributions=trial.distributions,
            intermediate_values=trial.intermediate_values,
        )
        for trial in mirror.shown()
    )
    assert study.ask(DISTRIBUTIONS).params == suggestion.params


CONDITIONAL = to_distributions(
    {
        "rate": FloatRange(low=1e-4, high=1, log=True),
        "optimizer": Choice(choices=("sgd", "adam", "none")),
        "momentum": FloatRange(low=0, high=1, when=When(parameter="optimizer", values=("sgd",))),
        "kind": Choice(
            choices=("a", "b"), when=When(parameter="optimizer", values=("sgd", "adam"))
        ),
        "depth": IntRange(low=1, high=9, when=When(parameter="kind", values=("b",))),
    }
)


@pytest.mark.parametrize("settings", [{}, {"group": True}, {"multivariate": False}])
@pytest.mark.parametrize("seed", range(4))
def test_on_a_conditional_space_it_is_optunas_define_by_run(settings, seed):
    """A real Optuna study whose objective asks for what applies gets the same params."""
    uniform = RandomSampler(seed=3, distributions=CONDITIONAL)
    mirror = Mirror(CONDITIONAL, Direction.MINIMIZE)
    params = [uniform.suggest(draw).params for draw in range(40)]
    mirror.update(complete(n, given, float(n * 7 % 13)) for n, given in enumerate(params))
    (suggestion,) = TpeSampler(settings=settings).propose(mirror, 1, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        optunas = optuna.samplers.TPESampler(**settings, seed=derive_seed(seed, "place", 0))
    study = optuna.create_study(sampler=optunas)
    study.add_trials(
        optuna.create_trial(
            value=trial.value, params=trial.params, distributions=trial.distributions
        )
        for trial in mirror.shown()
    )
    trial = study.ask()
    assert choose_params(CONDITIONAL, trial._suggest) == suggestion.params
    assert 1 < len(suggestion.params) <= 5


def test_it_beats_random_search():
    def best(n: int, seed: int) -> tuple[float, float]:
        sampler = RandomSampler(seed=seed, distributions=DISTRIBUTIONS)
        mirror = Mirror(DISTRIBUTIONS, Direction.MINIMIZE)
        tpe = TpeSampler(settings={})
        found = []
        for number in range(n):
            params = tpe.propose(mirror, 1, seed * 1000 + number)[0].params
            found.append(loss(params))
            mirror.update([running(number, params)])
            mirror.update([complete(number, params, found[-1])])
        return min(found), min(loss(sampler.suggest(n).params) for n in range(n))

    results = [best(50, seed) for seed in range(3)]
    assert sum(tpe for tpe, _ in results) < 0.7 * sum(other for _, other in results)


def test_a_maximized_study_is_maximized():
    rng = random.Random(0)
    distributions = to_distributions({"x": FloatRange(low=0, high=1)})
    mirror = Mirror(distributions, Direction.MAXIMIZE)
    for number in range(40):
        x = rng.random()
        mirror.update([complete(number, {"x": x}, x)])
    proposed = [s.params["x"] for s in TpeSampler(settings={}).propose(mirror, 8, 0)]
    assert sum(x > 0.7 for x in proposed if isinstance(x, float)) >= 6


def test_nothing_is_written_to_the_log(caplog, capsys):
    TpeSampler(settings={"group": True}).propose(mirror_of(20), 2, 0)
    assert caplog.records == []
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.parametrize("n_finished", [9, 10, 40, 400])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"constant_liar": False},
        {"multivariate": False},
        {"group": True},
        {"n_startup_trials": 3, "n_ei_candidates": 5},
    ],
)
def test_suggestions_are_those_of_optunas_own_sampler(settings, n_finished, direction, monkeypatch):
    mirror = Mirror(DISTRIBUTIONS, direction)
    mirror.update(finished(t.number, t.params) for t in mirror_of(n_finished).shown())
    some = mirror.shown()[0].params
    for number in range(n_finished, n_finished + 9, 3):
        mirror.update([running(number, some), complete(number + 1, some, 0.25)])  # ties
        mirror.update([replace(finished(1, some), number=number + 2, last_value=math.nan)])
    sampler = TpeSampler(settings=settings)
    ours = [s.params for s in sampler.propose(mirror, 4, 7, shared=("batch_size",))]
    monkeypatch.setattr("tuner.search.samplers.tpe._MirrorTpe", optuna.samplers.TPESampler)
    stock = [s.params for s in sampler.propose(mirror, 4, 7, shared=("batch_size",))]
    assert ours == stock
