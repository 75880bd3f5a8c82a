"""What every sampler must hold to, whatever its algorithm."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tuner.search.catalog import SAMPLERS, build_sampler, is_model_sampler
from tuner.search.mirror import Mirror
from tuner.search.protocols import DrawSampler, ModelSampler
from tuner.space import fitting_params, to_distributions
from tuner.study.suggestion import Suggestion
from tuner.study.trial import TrialRecord, TrialState
from tuner.study_file.algorithms import SAMPLERS as SETTINGS
from tuner.study_file.load import load_spec
from tuner.study_file.model import Algorithm, Choice, FloatRange, IntRange, StudySpec

DIGITS = Path(__file__).parents[2] / "studies" / "digits.yaml"
SPACE = {
    "log": FloatRange(low=1e-4, high=1e-1, log=True),
    "wide": FloatRange(low=-1e3, high=1e3),
    "step": FloatRange(low=0.1, high=0.7, step=0.2),
    "one": FloatRange(low=0.3, high=0.3),
    "int": IntRange(low=0, high=3),
    "int_step": IntRange(low=5, high=50, step=15),
    "int_log": IntRange(low=1, high=1000, log=True),
    "text": Choice(choices=("a", "b", "c")),
    "mixed": Choice(choices=(True, 7, 0.5, "x")),
    "only": Choice(choices=("x",)),
}
DISTRIBUTIONS = to_distributions(SPACE)


@pytest.fixture(params=sorted(SAMPLERS))
def spec(request: pytest.FixtureRequest) -> StudySpec:
    name = request.param
    settings = {key: setting.default for key, setting in SETTINGS[name].items()}
    return load_spec(DIGITS).model_copy(
        update={"search_space": SPACE, "sampler": Algorithm(name=name, settings=settings)}
    )


def suggest(spec: StudySpec, seed: int, n: int, backwards: bool = False) -> list[Suggestion]:
    """`n` suggestions of a study, at its start and, for a model, in the midst of it."""
    sampler = build_sampler(spec.model_copy(update={"seed": seed}))
    if is_model_sampler(sampler):
        return [
            suggestion
            for n_finished in (0, 30)
            for suggestion in sampler.propose(mirror(spec, n_finished, backwards), n, seed, {})
        ]
    assert isinstance(sampler, DrawSampler)
    draws = range(n - 1, -1, -1) if backwards else range(n)
    by_draw = {draw: sampler.suggest(draw) for draw in draws}
    return [by_draw[draw] for draw in range(n)]


def mirror(spec: StudySpec, n_finished: int, backwards: bool) -> Mirror:
    """A study with finished trials, their values a function of their params."""
    uniform = build_sampler(spec.model_copy(update={"sampler": Algorithm(name="random")}))
    assert isinstance(uniform, DrawSampler)
    records: Sequence[TrialRecord] = [
        TrialRecord(
            number=number,
            state=TrialState.COMPLETE if number % 2 else TrialState.PRUNED,
            params=uniform.suggest(number).params,
            value=float(number % 7) if number % 2 else None,
            last_step=3,
            last_value=float(number % 7),
        )
        for number in range(n_finished)
    ]
    made = Mirror(DISTRIBUTIONS, spec.direction)
    made.update(reversed(records) if backwards else records)
    return made


def test_every_suggestion_fills_the_space_and_lies_in_it(spec):
    for suggestion in suggest(spec, seed=5, n=20):
        assert list(suggestion.params) == list(SPACE)
        fitted = fitting_params(suggestion.params, DISTRIBUTIONS)
        assert repr(fitted) == repr(dict(suggestion.params))


def test_the_same_seed_gives_the_same_suggestions_from_another_instance(spec):
    assert suggest(spec, seed=5, n=10) == suggest(spec, seed=5, n=10)


def test_another_seed_gives_other_suggestions(spec):
    assert suggest(spec, seed=5, n=10) != suggest(spec, seed=6, n=10)


def test_the_order_of_questions_and_news_does_not_matter(spec):
    assert suggest(spec, seed=5, n=10) == suggest(spec, seed=5, n=10, backwards=True)


def test_suggestions_differ_from_each_other(spec):
    params = [tuple(suggestion.params.values()) for suggestion in suggest(spec, seed=5, n=20)]
    assert len(set(params)) == len(params)


def test_a_model_sampler_says_on_what_its_suggestions_are_based(spec):
    sampler = build_sampler(spec)
    suggestions = suggest(spec, seed=5, n=2)
    assert is_model_sampler(sampler) == isinstance(sampler, ModelSampler)
    assert is_model_sampler(sampler) != isinstance(sampler, DrawSampler)
    assert all((s.basis is not None) == is_model_sampler(sampler) for s in suggestions)
