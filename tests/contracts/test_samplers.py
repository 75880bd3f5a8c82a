"""What every sampler must hold to, whatever its algorithm."""

import logging
from pathlib import Path

import pytest

from tuner.search.catalog import SAMPLERS, build_sampler
from tuner.search.mirror import Mirror
from tuner.search.protocols import DrawSampler, ModelSampler
from tuner.space import applying, fitting_params, to_distributions
from tuner.study.suggestion import Suggestion
from tuner.study.trial import TrialRecord, TrialState
from tuner.study_file.algorithms.reading import SAMPLERS as SETTINGS
from tuner.study_file.load import load_spec
from tuner.study_file.model import Algorithm, StudySpec
from tuner.study_file.params.space import Choice, FloatRange, IntRange, Near, SearchSpace, When

DIGITS = Path(__file__).parents[2] / "studies" / "digits.yaml"
SPACE = {
    "log": FloatRange(low=1e-4, high=1e-1, log=True, near=Near(values=(1e-3,))),
    "wide": FloatRange(low=-1e3, high=1e3),
    "step": FloatRange(low=0.1, high=0.7, step=0.2),
    "one": FloatRange(low=0.3, high=0.3),
    "int": IntRange(low=0, high=3),
    "int_step": IntRange(low=5, high=50, step=15),
    "int_log": IntRange(low=1, high=1000, log=True),
    "text": Choice(choices=("a", "b", "c"), near=Near(values=("b",))),
    "mixed": Choice(choices=(True, 7, 0.5, "x")),
    "only": Choice(choices=("x",)),
}
CONDITIONAL = {
    "depth": IntRange(
        low=1,
        high=9,
        when=When(parameter="kind", values=("tree", True)),
        near=Near(values=(2, 4)),
    ),
    "rate": FloatRange(low=1e-4, high=1e-1, log=True, grid=5),
    "kind": Choice(choices=("linear", "tree", True), near=Near(values=(True,))),
    "wide": FloatRange(low=-1, high=1, grid=4),
    "split": Choice(choices=("a", "b"), when=When(parameter="kind", values=("tree",))),
    "quantile": FloatRange(low=0, high=1, step=0.25, when=When(parameter="split", values=("b",))),
}
SPACES = {"plain": SPACE, "conditional": CONDITIONAL}
# Settings other than the defaults that change how params are found.
VARIANTS: dict[str, list[dict[str, object]]] = {
    "tpe": [{}, {"group": True}, {"multivariate": False}],
    "qmc": [{}, {"qmc_type": "halton"}],
    "cmaes": [{}, {"consider_pruned_trials": True}],
    "nsga2": [{"population_size": 4}],
}


@pytest.fixture(params=sorted(SPACES))
def space(request: pytest.FixtureRequest) -> SearchSpace:
    return SPACES[request.param]


CASES = {
    name: [
        pytest.param((name, variant), id=" ".join([name, *map(str, variant.values())]))
        for variant in VARIANTS.get(name, [{}])
    ]
    for name in sorted(SAMPLERS)
}
DRAWN = {"random", "grid", "qmc"}  # functions of the draw: they are asked for nothing else
of_models = pytest.mark.parametrize(
    "spec", [case for name in CASES if name not in DRAWN for case in CASES[name]], indirect=True
)


@pytest.fixture(params=[case for cases in CASES.values() for case in cases])
def spec(request: pytest.FixtureRequest, space: SearchSpace) -> StudySpec:
    name, variant = request.param
    settings = {key: setting.default for key, setting in SETTINGS[name].items()} | variant
    if name == "grid":
        space = {
            key: given.model_copy(update={"grid": 3}) if isinstance(given, FloatRange) else given
            for key, given in space.items()
        }
    return load_spec(DIGITS).model_copy(
        update={"search_space": space, "sampler": Algorithm(name=name, settings=settings)}
    )


def suggest(spec: StudySpec, seed: int, n: int, backwards: bool = False) -> list[Suggestion]:
    """`n` suggestions of a study, at its start and, for a model, in the midst of it."""
    sampler = build_sampler(spec.model_copy(update={"seed": seed}))
    if isinstance(sampler, ModelSampler):
        # A Gaussian process takes half a second for each: one of its suggestions is enough.
        n_later = 1 if spec.sampler.name == "gp" else n
        return [
            *sampler.propose(mirror(spec, 0, backwards), n, seed),
            *sampler.propose(mirror(spec, 30, backwards), n_later, seed),
        ]
    assert isinstance(sampler, DrawSampler)
    draws = range(n - 1, -1, -1) if backwards else range(n)
    by_draw = {draw: sampler.suggest(draw) for draw in draws}
    return [by_draw[draw] for draw in range(n)]


def build_record(spec: StudySpec, number: int, state: TrialState) -> TrialRecord:
    uniform = build_sampler(spec.model_copy(update={"sampler": Algorithm(name="random")}))
    assert isinstance(uniform, DrawSampler)
    return TrialRecord(
        number=number,
        state=state,
        params=uniform.suggest(number).params,
        value=float(number % 7) if state is TrialState.COMPLETE else None,
        last_step=3 if state.is_final else None,
        last_value=float(number % 7) if state.is_final else None,
    )


def mirror(spec: StudySpec, n_finished: int, backwards: bool) -> Mirror:
    """A study with finished trials, their values a function of their params."""
    records = [
        build_record(spec, number, TrialState.COMPLETE if number % 2 else TrialState.PRUNED)
        for number in range(n_finished)
    ]
    made = Mirror(to_distributions(spec.search_space), spec.direction)
    made.update(reversed(records) if backwards else records)
    return made


def test_every_suggestion_gives_exactly_what_applies_and_lies_in_the_space(spec):
    distributions = to_distributions(spec.search_space)
    for suggestion in suggest(spec, seed=5, n=20):
        assert tuple(suggestion.params) == applying(distributions, suggestion.params)
        fitted = fitting_params(suggestion.params, distributions)
        assert repr(fitted) == repr(dict(suggestion.params))


def test_several_values_of_a_choice_are_suggested(spec):
    name = "kind" if "kind" in spec.search_space else "text"
    found = {suggestion.params[name] for suggestion in suggest(spec, seed=5, n=20)}
    assert len(found) >= 2  # of the conditional grid only one cell in 46 is linear


def test_the_same_seed_gives_the_same_suggestions_from_another_instance(spec):
    assert suggest(spec, seed=5, n=10) == suggest(spec, seed=5, n=10)


def test_another_seed_gives_other_suggestions(spec):
    assert suggest(spec, seed=5, n=10) != suggest(spec, seed=6, n=10)


def test_the_order_of_questions_and_news_does_not_matter(spec):
    assert suggest(spec, seed=5, n=10) == suggest(spec, seed=5, n=10, backwards=True)


def test_suggestions_differ_from_each_other(spec):
    params = [repr(suggestion.params) for suggestion in suggest(spec, seed=5, n=20)]
    assert len(set(params)) >= len(params) * 0.9


def test_a_model_sampler_says_on_what_its_suggestions_are_based(spec):
    sampler = build_sampler(spec)
    suggestions = suggest(spec, seed=5, n=2)
    is_model = isinstance(sampler, ModelSampler)
    assert is_model != isinstance(sampler, DrawSampler)
    assert all((s.basis is not None) == is_model for s in suggestions)


@of_models
def test_a_suggestion_can_be_derived_again_from_its_basis(spec):
    sampler = build_sampler(spec)
    assert isinstance(sampler, ModelSampler)
    for n_finished in (0, 30):
        known = mirror(spec, n_finished, False)
        running = [build_record(spec, n_finished + n, TrialState.RUNNING) for n in range(3)]
        known.update(running)
        suggestions = sampler.propose(known, 2, 11)
        # The study goes on: running trials end, new ones come.
        known.update(build_record(spec, n_finished + n, TrialState.COMPLETE) for n in range(9))
        for suggestion in suggestions:
            basis = suggestion.basis
            assert basis is not None
            earlier = known.as_of(basis)
            again = sampler.propose(earlier, basis.place + 1, basis.seed)
            assert again[basis.place] == suggestion


@of_models
def test_a_batch_shares_what_its_leader_chose_and_can_be_derived_again(spec):
    sampler = build_sampler(spec)
    assert isinstance(sampler, ModelSampler)
    n = 2 if spec.sampler.name == "gp" else 6
    shared = {"text", "int", "kind", "depth"}  # of either space; depth applies for some kinds
    distributions = to_distributions(spec.search_space)
    for n_finished in (0, 30):
        known = mirror(spec, n_finished, False)
        suggestions = sampler.propose(known, n, 11, shared=shared)
        assert suggestions[0] == sampler.propose(known, 1, 11)[0], "the leader is free"
        for place, suggestion in enumerate(suggestions):
            for name in shared & suggestion.params.keys():
                assert suggestion.params[name] == suggestions[0].params[name], name
            assert set(suggestion.params) == set(applying(distributions, suggestion.params))
            again = sampler.propose(known, place + 1, 11, shared=shared)[place]
            assert again == suggestion
        others = [name for name in suggestions[0].params if name not in shared]
        assert any(suggestions[0].params[n] != suggestions[-1].params[n] for n in others)


def test_nothing_is_written_to_the_log_or_the_screen(spec, capsys):
    written: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: written.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("optuna")  # which does not propagate
    logger.addHandler(handler)
    try:
        suggest(spec, seed=5, n=3)
    finally:
        logger.removeHandler(handler)
    assert written == []
    assert capsys.readouterr() == ("", "")
