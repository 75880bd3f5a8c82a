"""Grids and what a study file enqueues, as they are given out."""

import itertools

import pytest

from tests.integration.conftest import NewStudy
from tests.integration.stores import StoredStudy, report
from tuner.study.lease import Batch, Origin, Release
from tuner.study.report import Printed
from tuner.study.trial import AttemptKey
from tuner.study_file.model import Algorithm, Budget
from tuner.study_file.params.space import Choice, IntRange

CELLS = {"width": IntRange(low=16, high=64, step=16), "activation": Choice(choices=("relu", "x"))}


def _grid(new_study: NewStudy, trials: int | None = None, **changes: object) -> StoredStudy:
    return new_study(
        search_space=CELLS,
        sampler=Algorithm(name="grid"),
        budget=Budget(trials=trials),
        **changes,
    )


def _cells(study: StoredStudy) -> list[tuple[object, object]]:
    trials = study.optuna().get_trials()
    return [(trial.params["width"], trial.params["activation"]) for trial in trials]


def test_several_agents_get_each_cell_once_and_then_nothing(new_study: NewStudy) -> None:
    study = _grid(new_study)
    agents = [study.agent() for _ in range(3)]
    given: list[AttemptKey] = []
    for agent in itertools.islice(itertools.cycle(agents), 12):
        given += [trial.key for trial in agent.claim(3, known=given)]
    assert len(given) == 8
    assert sorted(_cells(study)) == sorted(itertools.product((16, 32, 48, 64), ("relu", "x")))
    answer = agents[0].ask(3, known=given)
    assert (list(answer.trials), answer.limit_reached, answer.n_open) == ([], True, 8)
    assert study.query("select n_draws, next_draw from tuner.study") == [(8, 8)]


def test_an_enqueued_trial_costs_budget_but_no_cell(new_study: NewStudy) -> None:
    study = _grid(new_study, trials=9, enqueue=({"width": 16}, {"width": 32, "activation": "x"}))
    agent = study.agent()
    given = agent.claim(20)
    assert [trial.origin for trial in given] == 2 * [Origin.WAITING] + 7 * [Origin.NEW]
    assert [trial.draw for trial in given] == [None, None, *range(7)]
    cells = _cells(study)
    assert cells[1] == (32, "x")
    assert len(set(cells[2:])) == 7
    assert study.query("select n_claimed, next_draw from tuner.study") == [(9, 7)]


def test_a_trial_that_is_enqueued_after_the_last_cell_is_still_done(new_study: NewStudy) -> None:
    study = _grid(new_study)
    agent = study.agent()
    for trial in agent.claim(8):
        agent.finish(trial)
    assert agent.ask(1).limit_reached
    study.optuna().enqueue_trial({"width": 16})
    answer = agent.ask(1)
    assert [trial.origin for trial in answer.trials] == [Origin.WAITING]


def test_a_released_cell_is_the_same_cell_again(new_study: NewStudy) -> None:
    study = _grid(new_study)
    agent = study.agent()
    (trial,) = agent.claim(1)
    agent.store.end([Release(key=trial.key, reason="released")])
    (again,) = agent.claim(1)
    assert (again.params, again.draw, again.key.attempt) == (trial.params, 0, 2)


def test_what_the_study_file_enqueues_is_enqueued_once_in_its_order(new_study: NewStudy) -> None:
    fixed = ({"n_layers": 4}, {"n_layers": 3, "learning_rate": 0.01}, {})
    study = new_study(5, enqueue=fixed)
    StoredStudy(study.database, study.spec).close()  # another machine joins
    assert study.states() == ["WAITING"] * 3
    first, second, third, fourth = study.agent().claim(4)
    assert [t.origin for t in (first, second, third)] == [Origin.WAITING] * 3
    assert first.params["n_layers"] == 4
    assert (second.params["n_layers"], second.params["learning_rate"]) == (3, 0.01)
    assert set(first.params) == set(third.params) == set(study.distributions)
    assert (fourth.origin, fourth.draw) == (Origin.NEW, 0)


def test_a_retry_has_the_params_and_the_draw_of_its_trial_and_says_of_which(
    study: StoredStudy,
) -> None:
    agent = study.agent()
    first = agent.claim_one()
    agent.finish(first)
    study.optuna().enqueue_trial(dict(first.params))
    study.query(
        "insert into tuner.enqueued (trial_id, study_id, draw, retry_of)"
        " select trial_id, study_id, 0, 0 from trials where state = 'WAITING'"
    )
    retry = agent.claim_one()
    assert (retry.params, retry.draw, retry.place) == (first.params, 0, 0)
    assert study.lease(1, "draw, retry_of, attempt, state") == (0, 0, 1, "held")
    assert study.query("select next_draw, n_claimed from tuner.study") == [(1, 2)]
    assert agent.claim_one(known=[retry.key]).draw == 1


@pytest.mark.parametrize("retries", [0, 1])
def test_no_two_trials_but_retries_share_a_draw(study: StoredStudy, retries: int) -> None:
    import psycopg2

    study.agent().claim(2)
    statement = "update tuner.lease set draw = 0, retry_of = %s where number = 1"
    if retries:
        study.query(statement, 0)
    else:
        with pytest.raises(psycopg2.errors.UniqueViolation):
            study.query(statement, None)


def test_the_tail_of_a_log_is_replaced_as_it_grows_and_only_by_who_holds_the_trial(
    study: StoredStudy,
) -> None:
    busy, other = study.agent(), study.agent()
    trial = busy.claim_one()
    for tail in ("epoch 1\n", "epoch 1\nepoch 2\x00\n"):
        batch = Batch(printed=[Printed(key=trial.key, tail=tail, n_bytes=len(tail))])
        assert busy.store.report(batch) == frozenset()
    log = "select attempt, tail, n_bytes from tuner.log order by attempt"
    assert study.query(log) == [(1, "epoch 1\nepoch 2\ufffd\n", 17)]
    (taken,) = other.claim(1, silent=[other.sees(busy)])
    late = Batch(printed=[Printed(key=trial.key, tail="late\n", n_bytes=99)])
    assert busy.store.report(late) == {trial.key}
    assert study.query(log) == [(1, "epoch 1\nepoch 2\ufffd\n", 17)]
    other.store.report(Batch(printed=[Printed(key=taken.key, tail="anew\n", n_bytes=5)]))
    assert [row[:2] for row in study.query(log)] == [(1, "epoch 1\nepoch 2\ufffd\n"), (2, "anew\n")]


def test_the_end_writes_the_whole_log_and_its_length(study: StoredStudy) -> None:
    agent = study.agent()
    trial = agent.claim_one()
    agent.store.report(Batch(printed=[Printed(key=trial.key, tail="a\n", n_bytes=2)]))
    agent.finish(trial, printed=Printed(key=trial.key, tail="b\nc\n", n_bytes=70_000))
    assert study.query("select tail, n_bytes, message from tuner.log") == [("b\nc\n", 70_000, "")]


def test_seconds_and_device_of_all_attempts_are_kept(study: StoredStudy) -> None:
    agent = study.agent()
    trial = agent.claim_one()
    release = Release(key=trial.key, reason="released", seconds=12.5, device="gpu:0")
    agent.store.end([release])
    again = agent.claim_one()
    assert again.seconds == 12.5
    agent.finish(again, seconds=2.5, device="gpu:1", reports=[report(again, 1, 0.5)])
    assert study.lease(0, "seconds, device") == (15.0, "gpu:1")
    devices = study.query(
        "select kind, device from tuner.event where kind in ('released', 'complete') order by 1"
    )
    assert devices == [("complete", "gpu:1"), ("released", "gpu:0")]
