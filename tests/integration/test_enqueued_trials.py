"""Trials that somebody enqueued with an Optuna client."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.stores import PARAMS, StoredStudy
from tuner.study.lease import Origin

NewStudy = Callable[..., StoredStudy]


def test_an_enqueued_trial_is_trained_with_exactly_its_params(study: StoredStudy) -> None:
    study.optuna().enqueue_trial(dict(PARAMS), user_attrs={"idea": "mine"})
    agent = study.agent()
    trial = agent.claim_one()
    assert (trial.origin, trial.draw, trial.params) == (Origin.WAITING, None, PARAMS)
    assert list(trial.params) == list(study.spec.search_space)
    assert trial.place == trial.key.number
    agent.finish(trial)
    (frozen,) = study.optuna().get_trials()
    assert frozen.params == PARAMS
    assert frozen.user_attrs["idea"] == "mine"
    assert frozen.distributions == study.distributions
    assert frozen.datetime_start is not None


def test_missing_params_are_completed_alike_whoever_claims_the_trial(new_study: NewStudy) -> None:
    params = []
    for name in ("one", "two"):
        study = new_study(name=name)
        study.optuna().enqueue_trial({"n_layers": 4, "activation": True})
        params.append(study.agent().claim_one().params)
    assert params[0] == params[1]
    assert (params[0]["n_layers"], params[0]["activation"]) == (4, True)
    assert set(params[0]) == set(PARAMS)


def test_enqueued_trials_start_in_their_order_before_new_draws(study: StoredStudy) -> None:
    for n_layers in (3, 1, 2):
        study.optuna().enqueue_trial({"n_layers": n_layers})
    taken = study.agent().claim(4)
    assert [t.params["n_layers"] for t in taken[:3]] == [3, 1, 2]
    assert [t.draw for t in taken] == [None, None, None, 0]


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"width": 33}, "width=33"),
        ({"learning_rate": 1.0}, "learning_rate=1.0"),
        ({"learning_rate": float("nan")}, "learning_rate=nan"),
        ({"learning_rate": float("inf")}, "learning_rate=inf"),
        ({"batch_size": "16"}, "batch_size='16'"),
        ({"activation": 1}, "activation=1"),
        ({"n_layers": True}, "n_layers=true"),
        ({"n_layers": 2.5}, "n_layers=2.5"),
        ({"n_layers": 10**400}, "n_layers=1000"),
        ({"n_layers": -(10**400)}, "n_layers=-1000"),
        ({"n_layers": [2]}, "n_layers=[2]"),
        ({"n_layers": {"a": 1}}, "n_layers={'a': 1}"),
        ({"dropout": 0.15}, "dropout=0.15"),
        ({"unknown": 1}, "unknown=1"),
        ({"a\0b": 1}, "b'=1"),
        ({"\ud800": 1}, "=1"),
        ({"\x1b[31mred": 1}, "red'=1"),
        ({"long": "x" * 100_000}, "long="),
        ({"activation": "a\0b"}, "activation="),
    ],
)
def test_params_outside_the_space_end_the_trial_with_a_reason_counted_once(
    study: StoredStudy, params: dict[str, Any], named: str
) -> None:
    study.optuna().enqueue_trial(params)
    agent = study.agent()
    taken = agent.claim(2)
    assert [t.origin for t in taken] == [Origin.NEW]
    assert study.states() == ["FAIL", "RUNNING"]
    reason = study.attributes(0)["reason"]
    assert reason.startswith("enqueued params do not fit the search space: ")
    assert named in reason
    assert len(reason) <= 500
    assert not any(ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 for c in reason)
    assert study.lease(0, "state, reason, attempt") == ("done", reason, 1)
    assert study.query("select n_claimed, next_draw from tuner.study") == [(2, 1)]
    assert agent.ask(1, known=[taken[0].key]).trials[0].draw == 1
    frozen = study.optuna().get_trials()[0]
    assert frozen.datetime_complete is not None


@pytest.mark.parametrize("text", ["not json", "[1, 2]", "null", "3", '"x"', "1" * 5000])
def test_fixed_params_that_are_no_mapping_cannot_stop_the_fleet(
    study: StoredStudy, text: str
) -> None:
    study.optuna().enqueue_trial({})
    study.query("update trial_system_attributes set value_json = %s", text)
    taken = study.agent().claim(2)
    assert [t.origin for t in taken] == [Origin.NEW]
    assert study.states() == ["FAIL", "RUNNING"]
    assert study.lease(0, "reason") == (
        "enqueued params do not fit the search space: they are no mapping",
    )


def test_a_waiting_trial_without_fixed_params_is_drawn_wholly(study: StoredStudy) -> None:
    study.optuna().enqueue_trial({})
    study.query("delete from trial_system_attributes")
    trial = study.agent().claim_one()
    assert (trial.origin, set(trial.params)) == (Origin.WAITING, set(PARAMS))


def test_more_is_enqueued_than_the_budget_allows_and_the_rest_waits(new_study: NewStudy) -> None:
    study = new_study(2)
    for n_layers in (1, 2, 3):
        study.optuna().enqueue_trial({"n_layers": n_layers})
    agent = study.agent()
    claimed = agent.ask(5)
    assert [t.params["n_layers"] for t in claimed.trials] == [1, 2]
    assert (claimed.n_open, claimed.limit_reached) == (2, True)
    assert study.states() == ["RUNNING", "RUNNING", "WAITING"]


def test_waiting_trials_count_as_open_as_far_as_the_budget_lets_them_start(
    new_study: NewStudy,
) -> None:
    study = new_study(2)
    agent = study.agent()
    trial = agent.claim_one()
    for _ in range(3):
        study.optuna().enqueue_trial({})
    claimed = agent.ask(0, known=[trial.key])
    assert (claimed.n_open, claimed.limit_reached) == (2, False)


def test_an_enqueued_trial_that_a_stock_client_is_taking_is_left_to_it(study: StoredStudy) -> None:
    study.optuna().enqueue_trial({"n_layers": 1})
    with study.held_open("update trials set state = 'RUNNING' where state = 'WAITING'"):
        assert [t.origin for t in study.agent().claim(1)] == [Origin.NEW]
    assert study.states() == ["RUNNING", "RUNNING"]
    assert study.query("select number from tuner.lease") == [(1,)]


def test_trials_of_other_studies_are_never_taken(new_study: NewStudy) -> None:
    mine, other = new_study(name="mine"), new_study(name="other")
    other.optuna().enqueue_trial({"n_layers": 1})
    assert mine.agent().claim_one().origin is Origin.NEW
    assert other.states() == ["WAITING", "RUNNING"] or other.states() == ["RUNNING", "WAITING"]
