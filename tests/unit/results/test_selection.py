"""Which trials are shown, and in which order."""

import pytest

from tests.trial_tables import RowFields, filter_numbers, table_of
from tests.unit.cli.builders import trial
from tuner.errors import UsageError
from tuner.results.conditions import parse_condition, parse_sort, parse_states
from tuner.results.filters import Filter
from tuner.study.trial import TrialState

TRIALS = [
    trial(0, value=0.5, params={"lr": 0.01, "act": "relu", "bias": True}, n_steps=9),
    trial(1, value=None, state=TrialState.FAIL, params={"lr": 0.1, "act": "tanh", "bias": False}),
    trial(
        2,
        value=0.25,
        state=TrialState.PRUNED,
        params={"lr": 0.001, "depth": 3},
        user_attrs={"loss": 2},
    ),
    trial(3, value=float("nan"), params={}, user_attrs={}),
]


def numbers(*conditions, fixed=None, **more):
    wanted = Filter(conditions=[parse_condition(text) for text in conditions], **more)
    return filter_numbers(table_of(TRIALS), wanted, RowFields(rows=TRIALS, fixed=fixed or {}))


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("lr<1e-2", [2]),
        ("lr <= 1e-2", [0, 2]),
        ("lr>=.1", [1]),
        ("params.lr=0.01", [0]),
        ("act=relu", [0]),
        ("act='tanh'", [1]),
        ("act!=relu", [1]),
        ("bias=true", [0]),
        ("bias=1", []),
        ("lr=true", []),
        ("value>0.3", [0]),
        ("state=fail", [1]),
        ("epochs<10", [0]),
        ("steps==9", [0]),
        ("number>1", [2, 3]),
        ("loss>1", [2]),
        ("attrs.loss=2", [2]),
        ("depth<4", [2]),
    ],
)
def test_a_condition_is_a_name_an_operator_and_a_value(condition, expected):
    assert numbers(condition) == expected


def test_all_conditions_must_hold_and_fixed_params_count():
    assert numbers("lr<0.05", "value<0.4") == [2]
    assert numbers("width=64", fixed={"width": 64}) == [0, 1, 2, 3]
    assert numbers("lr<1", states=(TrialState.FAIL, TrialState.PRUNED)) == [1, 2]


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("", "character 1: expected a name"),
        ("<3", "character 1: expected a name"),
        ("lr", "character 3: expected one of"),
        ("lr 3", "character 4: expected one of"),
        ("lr<", "character 4: expected a value"),
        ("act<relu", "character 5: 'relu' is no number"),
        ("__import__('os').system('x')", "expected one of"),
        ("lr\x1b<3", "expected one of"),
    ],
)
def test_what_is_no_condition_is_refused_with_its_place(condition, words):
    with pytest.raises(UsageError, match=words.replace("(", r"\(")) as refused:
        parse_condition(condition)
    assert "\x1b" not in str(refused.value)
    assert str(refused.value).endswith("^")


def test_an_unknown_field_is_refused_with_a_close_name():
    with pytest.raises(UsageError, match="no field 'valeu'; did you mean value"):
        numbers("valeu<1")
    with pytest.raises(UsageError, match=r"^--sort: no field 'learning'; known: "):
        numbers(sort="learning")
    with pytest.raises(UsageError, match=r"^--sort: no field 'valeu'; did you mean value"):
        numbers(sort="valeu")


@pytest.mark.parametrize("condition", ["params.value=1", "attrs.lr=0.01", "params.loss=2"])
def test_a_prefix_allows_only_names_of_its_kind(condition):
    with pytest.raises(UsageError, match="no field"):
        numbers(condition)


def test_the_order_is_by_a_field_with_trials_that_lack_it_last():
    assert numbers(sort="value") == [2, 0, 1, 3]
    assert numbers(sort="value", descending=True) == [0, 2, 1, 3]
    assert numbers(sort="act", descending=True) == [1, 0, 2, 3]
    assert numbers(sort="lr", limit=2) == [2, 0]


def test_states_and_orders_are_parsed():
    assert parse_states("complete, Fail") == (TrialState.COMPLETE, TrialState.FAIL)
    assert parse_states("released,free") == (TrialState.RELEASED,) * 2, "free is its old name"
    assert parse_condition("state=free").value is TrialState.RELEASED
    assert parse_sort("lr:desc") == ("lr", True)
    with pytest.raises(UsageError, match="did you mean PRUNED"):
        parse_states("prune")
    for wrong in ("lr:down", ":desc", "lr:desc:x"):
        with pytest.raises(UsageError, match="field:desc"):
            parse_sort(wrong)


def test_fields_of_the_last_release_are_accepted_unless_something_has_their_name():
    trials = [
        trial(0, device_seconds=3.0, user_attrs={}),
        trial(1, device_seconds=1.0, user_attrs={}),
    ]
    fields = RowFields(rows=trials)
    assert filter_numbers(table_of(trials), Filter(sort="seconds"), fields) == [1, 0]
    named = [trial(0, device_seconds=1.0, user_attrs={"seconds": 9})]
    wanted = Filter(conditions=[parse_condition("seconds=9")])
    assert filter_numbers(table_of(named), wanted, RowFields(rows=named)) == [0]
