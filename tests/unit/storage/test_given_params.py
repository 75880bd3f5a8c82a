"""Params of one's own, checked before anything is written."""

import pytest

from tests.integration.stores import make_spec
from tuner.errors import UsageError
from tuner.storage.control.given_params import check_params
from tuner.study_file.params.space import Choice, FloatRange, IntRange, When

SPACE = {
    "optimizer": Choice(choices=("sgd", "adam", True, None)),
    "momentum": FloatRange(low=0.5, high=0.9, when=When(parameter="optimizer", values=("sgd",))),
    "lr": FloatRange(low=1e-4, high=1e-1, log=True),
    "width": IntRange(low=16, high=64, step=16),
}
SPEC = make_spec(search_space=SPACE, params={"epochs": 9})


def test_partial_params_come_in_the_order_of_the_space():
    given = {"width": 32, "momentum": 0.9, "optimizer": "sgd"}
    assert list(check_params(given, SPEC).items()) == [
        ("optimizer", "sgd"),
        ("momentum", 0.9),
        ("width", 32),
    ]
    assert check_params({}, SPEC) == {}
    assert check_params({"width": 32.0, "optimizer": None}, SPEC) == {
        "optimizer": None,
        "width": 32,
    }


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"learning": 1}, "no searched parameter 'learning'; the study searches"),
        ({"widht": 32}, "did you mean width?"),
        ({"epochs": 3}, "epochs is fixed at 9"),
        ({"lr": 1}, "lr: 1 is not in [0.0001, 0.1]"),
        ({"lr": float("nan")}, "lr: nan is not in"),
        ({"lr": True}, "lr: true is not in"),
        ({"width": 33}, "width: 33 is not in the whole numbers [16, 64] in steps of 16"),
        ({"optimizer": 1}, "optimizer: 1 is not in the choices 'sgd', 'adam', true, null"),
        ({"momentum": 0.9}, "applies only where optimizer is 'sgd'; give optimizer as well"),
        ({"momentum": 0.9, "optimizer": "adam"}, "is 'sgd', not 'adam'; leave it out"),
        ({"x\x1b": 1}, "no searched parameter 'x\ufffd'"),
    ],
)
def test_what_does_not_fit_is_a_sentence(given, words):
    with pytest.raises(UsageError) as refused:
        check_params(given, SPEC)
    assert words in str(refused.value)


def test_all_faults_come_at_once():
    with pytest.raises(UsageError) as refused:
        check_params({"lr": 7, "width": 1, "nothing": 0}, SPEC)
    assert str(refused.value).count("\n") == 2
