"""Params of trials that were enqueued with only some of them."""

from tuner.search.completion import complete
from tuner.space import to_distributions
from tuner.study_file.params.space import Choice, FloatRange, IntRange, When

DISTRIBUTIONS = to_distributions(
    {"a": FloatRange(low=0, high=1), "b": IntRange(low=0, high=99), "c": IntRange(low=0, high=99)}
)


def test_fixed_params_are_kept_and_the_others_drawn():
    params = complete(7, 3, {"b": 5}, DISTRIBUTIONS)
    assert list(params) == ["a", "b", "c"]
    assert params["b"] == 5


def test_whoever_completes_a_trial_completes_it_alike():
    assert complete(7, 3, {"b": 5}, DISTRIBUTIONS) == complete(7, 3, {"b": 5}, DISTRIBUTIONS)
    assert complete(7, 3, {}, DISTRIBUTIONS)["a"] == complete(7, 3, {"b": 5}, DISTRIBUTIONS)["a"]
    assert complete(7, 3, {}, DISTRIBUTIONS) != complete(7, 4, {}, DISTRIBUTIONS)
    assert complete(7, 3, {}, DISTRIBUTIONS) != complete(8, 3, {}, DISTRIBUTIONS)


def test_what_does_not_fit_the_space_is_drawn():
    assert complete(7, 3, {"b": 100, "x": 1}, DISTRIBUTIONS) == complete(7, 3, {}, DISTRIBUTIONS)


def test_exactly_the_params_that_apply_are_completed():
    space = to_distributions(
        {
            "momentum": FloatRange(
                low=0, high=1, when=When(parameter="optimizer", values=("sgd",))
            ),
            "optimizer": Choice(choices=("sgd", "adam")),
        }
    )
    assert complete(7, 3, {"optimizer": "adam"}, space) == {"optimizer": "adam"}
    assert list(complete(7, 3, {"optimizer": "sgd"}, space)) == ["momentum", "optimizer"]
    given = {"optimizer": "sgd", "momentum": 0.5}
    assert complete(7, 3, given, space) == {"momentum": 0.5, "optimizer": "sgd"}
    seen = {tuple(complete(7, number, {}, space)) for number in range(20)}
    assert seen == {("momentum", "optimizer"), ("optimizer",)}
