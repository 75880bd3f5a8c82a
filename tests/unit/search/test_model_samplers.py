"""Optuna's CMA-ES, Gaussian process and genetic algorithm on the mirror."""

import math
import time

import cmaes
import optuna
import pytest

from tuner.search.mirror import Mirror
from tuner.search.protocols import ModelSampler
from tuner.search.samplers import gp
from tuner.search.samplers.cmaes import CmaesSampler
from tuner.search.samplers.gp import GpSampler
from tuner.search.samplers.nsga2 import Nsga2Sampler
from tuner.search.samplers.random import RandomSampler
from tuner.space import to_distributions
from tuner.study.seeds import derive_seed
from tuner.study.trial import Direction, Params, TrialRecord, TrialState
from tuner.study_file.params.space import Choice, FloatRange, IntRange

NUMBERS = to_distributions(
    {
        "x": FloatRange(low=-5, high=5),
        "y": FloatRange(low=1e-4, high=1, log=True),
        "n": IntRange(low=1, high=20),
    }
)
MIXED = to_distributions(
    {"x": FloatRange(low=-5, high=5), "n": IntRange(low=1, high=9), "c": Choice(choices=("a", "b"))}
)
CMAES = {"n_startup_trials": 1, "popsize": None, "consider_pruned_trials": False}
NSGA2 = {
    "population_size": 8,
    "mutation_prob": None,
    "crossover_prob": 0.9,
    "swapping_prob": 0.5,
}
GP = {"n_startup_trials": 10, "deterministic_objective": False}


def loss(params: Params) -> float:
    """Best at x = 1, y = 0.01, n = 5."""
    x, y, n = params["x"], params.get("y", 0.01), params["n"]
    assert isinstance(x, float)
    assert isinstance(y, float)
    assert isinstance(n, int)
    return (x - 1) ** 2 + (math.log10(y) + 2) ** 2 + ((n - 5) / 4) ** 2


def complete(number: int, params: Params, value: float) -> TrialRecord:
    return TrialRecord(
        number=number,
        state=TrialState.COMPLETE,
        params=params,
        value=value,
        last_step=None,
        last_value=None,
    )


def search(sampler: ModelSampler, n: int, seed: int, direction: Direction) -> float:
    """The lowest loss of `n` trials, one after another."""
    mirror = Mirror(NUMBERS, direction)
    sign = 1 if direction is Direction.MINIMIZE else -1
    found = []
    for number in range(n):
        params = sampler.propose(mirror, 1, seed * 1000 + number)[0].params
        found.append(loss(params))
        mirror.update([complete(number, params, sign * found[-1])])
    return min(found)


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize(
    ("sampler", "n"),
    [(CmaesSampler(settings=CMAES), 80), (Nsga2Sampler(settings=NSGA2), 80)],
    ids=["cmaes", "nsga2"],
)
def test_it_beats_random_search(sampler, n, direction):
    ours = sum(search(sampler, n, seed, direction) for seed in range(4))
    random = [RandomSampler(seed=seed, distributions=NUMBERS) for seed in range(4)]
    theirs = sum(min(loss(r.suggest(draw).params) for draw in range(n)) for r in random)
    assert ours < 0.6 * theirs


def test_a_gaussian_process_needs_few_trials():
    ours = search(GpSampler(settings=GP), 17, 0, Direction.MINIMIZE)
    random = RandomSampler(seed=0, distributions=NUMBERS)
    assert ours < 0.5 * min(loss(random.suggest(draw).params) for draw in range(17))


def mirror_of(n: int, distributions: object = NUMBERS) -> Mirror:
    mirror = Mirror(distributions, Direction.MINIMIZE)  # type: ignore[arg-type]
    sampler = RandomSampler(seed=3, distributions=mirror.distributions)
    records = [(n, sampler.suggest(n).params) for n in range(n)]
    mirror.update(complete(number, params, loss(params)) for number, params in records)
    return mirror


def test_the_first_generation_of_cmaes_is_optunas_own():
    """Before a generation is full there is nothing to tell: both ask a fresh optimizer."""
    mirror = mirror_of(3)
    (suggestion,) = CmaesSampler(settings=CMAES).propose(mirror, 1, 9)
    study = optuna.create_study(
        sampler=optuna.samplers.CmaEsSampler(seed=derive_seed(9, "place", 0))
    )
    study.add_trials(
        optuna.create_trial(
            value=trial.value, params=trial.params, distributions=trial.distributions
        )
        for trial in mirror.shown()
    )
    assert study.ask(NUMBERS).params == suggestion.params


def test_cmaes_narrows_around_the_best_generation_after_generation():
    def spread(n: int) -> float:
        mirror = Mirror(NUMBERS, Direction.MINIMIZE)
        sampler = CmaesSampler(settings=CMAES)
        for number in range(n):
            params = sampler.propose(mirror, 1, number)[0].params
            mirror.update([complete(number, params, loss(params))])
        xs = [s.params["x"] for s in sampler.propose(mirror, 20, 0)]
        return max(xs) - min(xs)  # type: ignore[operator,type-var]

    assert spread(140) < spread(14) / 2


def test_cmaes_unpickles_nothing(monkeypatch):
    monkeypatch.setattr("pickle.loads", lambda *args: pytest.fail("something was unpickled"))
    CmaesSampler(settings=CMAES).propose(mirror_of(40), 3, 9)


def test_cmaes_leaves_choices_to_chance_and_finds_the_numbers():
    mirror = mirror_of(60, MIXED)
    suggestions = CmaesSampler(settings=CMAES).propose(mirror, 20, 9)
    assert {s.params["c"] for s in suggestions} == {"a", "b"}
    near = [s for s in suggestions if abs(s.params["x"] - 1) < 3]  # type: ignore[operator]
    assert len(near) > 14


def test_cmaes_with_all_but_one_number_given_draws_it():
    params = CmaesSampler(settings=CMAES).propose(mirror_of(40), 1, 9, {"x": 0.0, "y": 0.1})
    assert list(params[0].params) == ["x", "y", "n"]


def test_the_package_that_cmaes_needs_is_there():
    assert cmaes.CMA is not None


def test_parents_are_the_best_of_all_generations_before():
    """Optuna's own elite, generation by generation, is the same."""
    mirror = mirror_of(44)
    sampler = Nsga2Sampler(settings=NSGA2)
    model = sampler._open(mirror.shown(), mirror.direction, 9)
    (parents,) = model.study_attributes.values()
    study = optuna.create_study()
    optunas = optuna.samplers.NSGAIISampler(population_size=8)
    key = optunas._get_generation_key()
    study.add_trials(
        optuna.create_trial(
            value=trial.value,
            params=trial.params,
            distributions=trial.distributions,
            system_attrs={key: trial.number // 8},
        )
        for trial in mirror.shown()
    )
    expected = {trial.number for trial in optunas.get_parent_population(study, 5)}
    assert model.trial_attributes == {key: 5}
    assert set(parents) == expected
    assert len(expected) == 8


def test_children_are_made_of_parents_params():
    mirror = mirror_of(16)
    sampler = Nsga2Sampler(settings={**NSGA2, "mutation_prob": 0.0})
    best = sorted(mirror.shown(), key=lambda trial: trial.value or 0.0)[:8]
    for suggestion in sampler.propose(mirror, 20, 9):
        for name, value in suggestion.params.items():
            assert any(trial.params[name] == pytest.approx(value) for trial in best)


def test_a_generation_that_is_not_full_has_the_parents_of_the_last_one():
    sampler = Nsga2Sampler(settings=NSGA2)
    models = [sampler._open(mirror_of(n).shown(), Direction.MINIMIZE, 9) for n in (7, 8, 15, 16)]
    generations = [next(iter(model.trial_attributes.values())) for model in models]
    assert generations == [0, 1, 1, 2]
    assert models[1].study_attributes == models[2].study_attributes


def test_a_gaussian_process_sees_the_best_and_the_latest_of_many_trials():
    mirror = mirror_of(900)
    kept = gp._most_telling(mirror.shown(), Direction.MINIMIZE)
    assert len(kept) == gp.MAX_TRIALS
    numbers = [trial.number for trial in kept]
    assert numbers == sorted(numbers)
    assert numbers[-150:] == list(range(750, 900))
    worst = max(trial.value or 0.0 for trial in kept[:150])
    dropped = set(range(750)) - set(numbers)
    assert all((mirror.shown()[number].value or 0.0) >= worst for number in dropped)


def test_a_long_study_does_not_make_a_gaussian_process_think_longer_than_a_claim_waits():
    mirror = mirror_of(1500)
    begun = time.monotonic()
    GpSampler(settings=GP).propose(mirror, 1, 0)
    assert time.monotonic() - begun < 15  # a claim waits for 30 s
