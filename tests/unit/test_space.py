"""The search space in Optuna's terms and back."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    distribution_to_json,
)

from tuner.space import (
    applying,
    choose_params,
    decode_param,
    encode_distribution,
    encode_params,
    fitting_params,
    is_inside,
    step_value,
    to_distributions,
)
from tuner.study.trial import ParamValue
from tuner.study_file.params.space import Choice, FloatRange, IntRange, Range, When

SPACE: dict[str, Range] = {
    "learning_rate": FloatRange(low=1e-4, high=1e-1, log=True),
    "dropout": FloatRange(low=0, high=0.5, step=0.1),
    "n_layers": IntRange(low=1, high=4),
    "width": IntRange(low=32, high=256, step=32),
    "batch_size": IntRange(low=16, high=512, log=True),
    "activation": Choice(choices=("relu", "tanh", "gelu")),
}
FLOATS = st.floats(1e-6, 1e6)


@st.composite
def ranges(draw: st.DrawFn) -> Range:
    """Valid ranges of every kind."""
    kind = draw(st.sampled_from(["float", "int", "choice"]))
    if kind == "choice":
        texts = st.lists(st.text("abc", max_size=3), min_size=1, max_size=5, unique=True)
        return Choice(choices=tuple(draw(texts)))
    if kind == "float":
        low, high = sorted((draw(FLOATS), draw(FLOATS)))
        return FloatRange(low=low, high=high, log=draw(st.booleans()))
    low_int, step, n = draw(st.integers(1, 99)), draw(st.integers(1, 9)), draw(st.integers(0, 9))
    log = step == 1 and draw(st.booleans())
    return IntRange(low=low_int, high=low_int + n * step, log=log, step=step)


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(st.sampled_from("abcde"), ranges(), min_size=1, max_size=5))
def test_optuna_has_the_bounds_and_choices_of_every_range(space):
    distributions = to_distributions(space)
    assert list(distributions) == list(space)
    for name, given_range in space.items():
        known = given_range.model_dump(exclude={"kind", "grid", "when", "near"})
        assert {key: getattr(distributions[name], key) for key in known} == known


def test_the_order_of_the_space_is_kept():
    assert list(to_distributions(SPACE)) == list(SPACE)


def test_params_are_encoded_as_optuna_does_and_decoded_exactly():
    distributions = to_distributions(SPACE)
    params = {
        "activation": "tanh",
        "learning_rate": 0.1,
        "dropout": 0.3,
        "n_layers": 4,
        "width": 64,
        "batch_size": 17,
    }
    rows = encode_params(params, distributions)
    assert [row.name for row in rows] == list(SPACE)
    assert all(type(row.value) is float for row in rows)
    for row in rows:
        assert row.distribution_json == distribution_to_json(distributions[row.name])
        decoded = decode_param(row.distribution_json, row.value)
        assert repr(decoded) == repr(params[row.name])


def test_choices_that_python_holds_for_equal_keep_their_own_json():
    texts = [
        encode_distribution(CategoricalDistribution(choices))
        for choices in [(1, 0), (True, False), (1.0, 0.0)]
    ]
    assert [json.loads(text)["attributes"]["choices"] for text in texts] == [
        [1, 0],
        [True, False],
        [1.0, 0.0],
    ]
    assert len(set(texts)) == 3


@pytest.mark.parametrize(
    ("name", "value", "fits"),
    [
        ("learning_rate", 0.1, True),
        ("learning_rate", 0.11, False),
        ("learning_rate", math.nan, False),
        ("learning_rate", "0.1", False),
        ("learning_rate", True, False),
        ("dropout", 0.30000000000000004, True),
        ("dropout", 0.35, False),
        ("dropout", 0, True),
        ("n_layers", 2.0, True),
        ("n_layers", 2.5, False),
        ("n_layers", math.inf, False),
        ("n_layers", None, False),
        ("width", 33, False),
        ("activation", "tanh", True),
        ("activation", "sigmoid", False),
        ("activation", 0, False),
    ],
)
def test_a_value_fits_when_its_range_could_give_it(name, value, fits):
    distributions = to_distributions(SPACE)
    assert is_inside(distributions[name], value) is fits
    assert (name in fitting_params({name: value}, distributions)) is fits


def test_fitting_params_have_the_types_of_the_space_and_no_stranger():
    fitted = fitting_params(
        {"n_layers": 2.0, "learning_rate": 0.01, "x": 1}, to_distributions(SPACE)
    )
    assert repr(fitted) == "{'learning_rate': 0.01, 'n_layers': 2}"


def test_a_true_is_not_the_choice_1():
    assert not is_inside(CategoricalDistribution((1, 2)), True)


def test_steps_are_counted_in_decimals():
    distribution = FloatDistribution(0.1, 0.7, step=0.1)
    assert [step_value(distribution, index) for index in range(7)] == [
        *(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
    ]


CONDITIONAL: dict[str, Range] = {
    "damping": FloatRange(
        low=0, high=1, when=When(parameter="kind", values=("heavy",))
    ),  # before its parent
    "optimizer": Choice(choices=("sgd", "adam")),
    "momentum": FloatRange(low=0.1, high=0.9, when=When(parameter="optimizer", values=("sgd",))),
    "kind": Choice(
        choices=("heavy", "light", True), when=When(parameter="optimizer", values=("sgd",))
    ),
    "width": IntRange(low=1, high=9),
}


@pytest.mark.parametrize(
    ("params", "names"),
    [
        ({"optimizer": "adam"}, ["optimizer", "width"]),
        ({"optimizer": "sgd"}, ["optimizer", "momentum", "kind", "width"]),
        (
            {"optimizer": "sgd", "kind": "heavy"},
            ["damping", "optimizer", "momentum", "kind", "width"],
        ),
        ({"optimizer": "adam", "kind": "heavy"}, ["optimizer", "width"]),
        ({}, ["optimizer", "width"]),
    ],
)
def test_a_parameter_applies_where_all_conditions_above_it_hold(params, names):
    assert list(applying(to_distributions(CONDITIONAL), params)) == names


def test_params_are_chosen_parents_first_and_given_in_the_order_of_the_space():
    asked = []
    wanted = {"optimizer": "sgd", "kind": "heavy"}

    def choose(name: str, distribution: BaseDistribution) -> ParamValue:
        asked.append(name)
        return wanted.get(name, 1)

    params = choose_params(to_distributions(CONDITIONAL), choose)
    assert list(params) == list(CONDITIONAL)
    assert asked == ["optimizer", "width", "momentum", "kind", "damping"]


@pytest.mark.parametrize(
    ("params", "fitting"),
    [
        ({"optimizer": "sgd", "momentum": 0.5}, ["optimizer", "momentum"]),
        ({"optimizer": "adam", "momentum": 0.5}, ["optimizer"]),
        ({"momentum": 0.5}, []),  # alone it might meet adam
        ({"optimizer": "sgd", "kind": "light", "damping": 0.5}, ["optimizer", "kind"]),
        ({"optimizer": "none", "momentum": 0.5}, []),
    ],
)
def test_what_does_not_apply_beside_the_other_params_does_not_fit(params, fitting):
    assert list(fitting_params(params, to_distributions(CONDITIONAL))) == fitting


def test_true_does_not_stand_for_one_in_a_condition():
    space: dict[str, Range] = {
        "a": Choice(choices=(1, 2)),
        "b": Choice(choices=("x",), when=When(parameter="a", values=(True,))),
    }
    assert applying(to_distributions(space), {"a": 1}) == ("a",)
