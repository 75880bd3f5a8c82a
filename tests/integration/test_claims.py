"""Claims: the budget, the numbers, the draws; adoption, and what goes first."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random

import optuna
import pytest

from tests.integration.stores import TELEMETRY, StoreAgent, StoredStudy, raised
from tuner.errors import StudyGone
from tuner.study.lease import ClaimedTrial, Origin, Release
from tuner.study.suggestion import Basis, SuggestedBy, Suggestion

NewStudy = Callable[..., StoredStudy]


def _claim_all(agent: StoreAgent, random: Random) -> list[ClaimedTrial]:
    """Claim 1 to 4 at a time until nothing is left; end some on the way."""
    taken: list[ClaimedTrial] = []
    while True:
        keys = [trial.key for trial in taken]
        claimed = agent.ask(random.randint(1, 4), known=keys)
        if not claimed.trials:
            assert claimed.limit_reached
            return taken
        taken += claimed.trials
        agent.finish(claimed.trials[0])


def _run_agents(study: StoredStudy, n: int) -> list[ClaimedTrial]:
    agents = [study.agent() for _ in range(n)]
    with ThreadPoolExecutor(n) as pool:
        work = [pool.submit(_claim_all, agent, Random(i)) for i, agent in enumerate(agents)]
        return [trial for future in work for trial in future.result()]


def test_eight_agents_claiming_at_once_use_up_the_budget_exactly(new_study: NewStudy) -> None:
    study = new_study(61)
    taken = _run_agents(study, 8)
    assert sorted(trial.key.number for trial in taken) == list(range(61))
    assert sorted(trial.draw for trial in taken if trial.draw is not None) == list(range(61))
    assert {trial.origin for trial in taken} == {Origin.NEW}
    assert study.query("select n_claimed, next_draw from tuner.study") == [(61, 61)]
    assert study.query("select count(*) from trials") == [(61,)]


def test_stock_clients_that_make_trials_in_between_never_collide_and_cost_no_budget(
    new_study: NewStudy,
) -> None:
    study = new_study(40)
    stock = study.optuna()
    errors: list[BaseException] = []

    def make_trials() -> None:
        try:
            for i in range(12):
                if i % 2:
                    stock.ask()
                else:
                    stock.add_trial(optuna.trial.create_trial(value=float(i)))
        except BaseException as error:
            errors.append(error)

    foreign = threading.Thread(target=make_trials)
    foreign.start()
    taken = _run_agents(study, 4)
    foreign.join()
    assert errors == []
    assert len(taken) == 40
    assert sorted(t.draw for t in taken if t.draw is not None) == list(range(40))
    numbers = [n for (n,) in study.query("select number from trials order by 1")]
    assert numbers == list(range(52))
    foreigners = study.query(
        "select count(*) from trials t where not exists"
        " (select from tuner.lease l where l.trial_id = t.trial_id)"
    )
    assert foreigners == [(12,)]


def test_an_enqueued_trial_that_we_train_costs_budget(new_study: NewStudy) -> None:
    study = new_study(5)
    study.optuna().enqueue_trial({"n_layers": 3})
    taken = study.agent().claim(8)
    assert len(taken) == 5
    assert Counter(trial.origin for trial in taken) == {Origin.WAITING: 1, Origin.NEW: 4}
    assert study.query("select n_claimed, next_draw from tuner.study") == [(5, 4)]


def test_random_params_depend_on_the_draw_and_not_on_who_claims_it(new_study: NewStudy) -> None:
    alone, shared = new_study(24, name="alone"), new_study(24, name="shared")
    by_draw = [{trial.draw: trial.params for trial in _run_agents(alone, 1)}]
    by_draw.append({trial.draw: trial.params for trial in _run_agents(shared, 4)})
    assert by_draw[0] == by_draw[1]
    assert list(by_draw[0][0]) == list(alone.spec.search_space)
    seeds = "select l.number, l.seed from tuner.lease l where study_id = %s order by 1"
    assert study_seeds(alone, seeds) == study_seeds(shared, seeds)


def study_seeds(study: StoredStudy, statement: str) -> list[tuple[int, int]]:
    return [(number, seed) for number, seed in study.query(statement, study.study_id)]


def test_fewer_suggestions_than_draws_make_fewer_trials_and_skip_no_draw(
    study: StoredStudy,
) -> None:
    agent = study.agent()
    first = agent.claim(4, suggest=lambda draws: study.suggest(draws)[:1])
    assert [trial.draw for trial in first] == [0]
    nothing = agent.ask(4, known=[first[0].key], suggest=lambda _: [])
    assert (list(nothing.trials), nothing.limit_reached, nothing.n_open) == ([], False, 1)
    rest = agent.claim(3, known=[first[0].key])
    assert [(trial.draw, trial.key.number) for trial in rest] == [(1, 1), (2, 2), (3, 3)]


def test_a_sampler_that_raises_leaves_nothing_behind(study: StoredStudy) -> None:
    agent = study.agent()
    with pytest.raises(ZeroDivisionError):
        agent.claim(2, suggest=lambda draws: [study.suggest(draws)[0], 1 / 0])
    assert study.query("select number from trials") == []
    assert study.query("select n_claimed, next_draw from tuner.study") == [(0, 0)]
    assert [trial.draw for trial in agent.claim(1)] == [0]


def test_what_the_sampler_had_seen_is_stored_with_its_suggestion(study: StoredStudy) -> None:
    basis = Basis(seed=99, place=1, highest=4, open_numbers=(1, 3), hidden=(3,), open_rungs=(9, 0))
    (drawn,) = study.suggest([0])
    proposal = Suggestion(params=drawn.params, basis=basis, by=SuggestedBy.MODEL)
    trial = study.agent().claim_one(suggest=lambda _: [proposal])
    assert study.query(
        "select number, seed, place, highest, open_numbers, hidden, open_rungs, suggested_by"
        " from tuner.suggestion"
    ) == [(trial.key.number, 99, 1, 4, [1, 3], [3], [9, 0], "model")]


def test_the_answer_counts_open_trials_and_tells_when_the_limit_is_reached(
    new_study: NewStudy,
) -> None:
    study = new_study(3)
    one, other = study.agent(), study.agent()
    first = one.ask(2)
    assert (first.n_open, first.limit_reached) == (2, False)
    second = other.ask(2)
    assert (len(second.trials), second.n_open, second.limit_reached) == (1, 3, True)
    for trial in first.trials:
        assert not one.finish(trial)
    last = one.ask(2)
    assert (len(last.trials), last.n_open, last.limit_reached) == (0, 1, True)
    other.finish(second.trials[0])
    assert one.ask(2).n_open == 0


def test_a_claim_whose_answer_was_lost_is_adopted_as_the_same_attempt(study: StoredStudy) -> None:
    agent, other = study.agent(), study.agent()
    lost = agent.claim(3)
    assert all(trial.origin is Origin.NEW for trial in other.claim(1))
    again = agent.claim(3)
    assert [t.key for t in again] == [t.key for t in lost]
    assert {t.origin for t in again} == {Origin.ADOPTED}
    assert [t.params for t in again] == [t.params for t in lost]
    assert study.query("select n_claimed from tuner.study") == [(4,)]


def test_what_an_agent_knows_is_not_adopted_nor_what_it_is_ending(study: StoredStudy) -> None:
    agent = study.agent()
    training, ending, forgotten = agent.claim(3)
    claimed = agent.claim(2, known=[training.key, ending.key])
    assert [(t.key, t.origin) for t in claimed] == [
        (forgotten.key, Origin.ADOPTED),
        (claimed[1].key, Origin.NEW),
    ]


def test_adoption_takes_no_more_than_was_asked_for(study: StoredStudy) -> None:
    agent = study.agent()
    lost = agent.claim(3)
    assert [t.key for t in agent.claim(2)] == [t.key for t in lost[:2]]
    rest = agent.claim(2, known=[t.key for t in lost[:2]])
    assert [t.origin for t in rest] == [Origin.ADOPTED, Origin.NEW]


def test_a_trial_that_i_know_under_an_older_attempt_is_adopted(study: StoredStudy) -> None:
    agent = study.agent()
    before = agent.claim_one()
    agent.store.end([Release(key=before.key, reason="released")])
    now = agent.claim_one(known=[before.key])
    assert now.key.attempt == 2
    again = agent.claim_one(known=[before.key])
    assert (again.key, again.origin) == (now.key, Origin.ADOPTED)


def test_released_trials_go_before_enqueued_ones_and_these_before_new_ones(
    study: StoredStudy,
) -> None:
    agent, other = study.agent(), study.agent()
    released = agent.claim_one()
    agent.store.end([Release(key=released.key, reason="released")])
    study.optuna().enqueue_trial({})
    taken = other.claim(3)
    assert [trial.origin for trial in sorted(taken, key=lambda t: t.key.number)] == [
        Origin.RELEASED,
        Origin.WAITING,
        Origin.NEW,
    ]
    again = taken[0]
    assert (again.key.number, again.key.attempt) == (released.key.number, 2)
    assert (again.params, again.seed, again.draw) == (
        released.params,
        released.seed,
        released.draw,
    )


def test_a_released_trial_is_taken_although_the_budget_is_used_up(new_study: NewStudy) -> None:
    study = new_study(1)
    agent, other = study.agent(), study.agent()
    trial = agent.claim_one()
    assert other.claim(1) == []
    agent.store.end([Release(key=trial.key, reason="released")])
    assert other.claim_one().key.attempt == 2


def test_a_trial_that_failed_here_is_left_to_another_machine_while_one_lives(
    study: StoredStudy,
) -> None:
    here, neighbour, elsewhere = study.agent("boot-1"), study.agent("boot-1"), study.agent("boot-2")
    trial = here.claim_one()
    here.store.end([Release(key=trial.key, reason="failed", failure=raised())])
    for agent in (here, neighbour):
        assert [t.origin for t in agent.claim(1)] == [Origin.NEW]
    again = elsewhere.claim_one()
    assert (again.key.number, again.origin, again.failures) == (0, Origin.RELEASED, 1)


@pytest.mark.parametrize("how", ["left", "silent", "never there"])
def test_a_trial_that_failed_here_is_tried_here_again_when_nobody_else_lives(
    study: StoredStudy, how: str
) -> None:
    here = study.agent("boot-1")
    if how != "never there":
        elsewhere = study.agent("boot-2")
        if how == "left":
            elsewhere.store.leave(TELEMETRY)
        else:
            study.query(
                "update tuner.agent set seen_at = now() - interval '4s' where boot = 'boot-2'"
            )
    trial = here.claim_one()
    here.store.end([Release(key=trial.key, reason="failed", failure=raised())])
    assert here.claim_one().key.number == trial.key.number


def test_a_deleted_study_is_told_by_claim_and_beat_and_by_a_new_agent(study: StoredStudy) -> None:
    agent = study.agent()
    trial = agent.claim_one()
    optuna.delete_study(study_name=study.spec.name, storage=study.optuna()._storage)
    with pytest.raises(StudyGone, match="was deleted while"):
        agent.claim(1)
    with pytest.raises(StudyGone):
        agent.beat()
    with pytest.raises(StudyGone):
        study.agent()
    assert agent.finish(trial) == {trial.key}


def test_an_agent_that_a_failover_forgot_joins_again(study: StoredStudy) -> None:
    agent = study.agent()
    study.query("delete from tuner.agent where agent_id = %s", agent.id)
    agent.beat()
    assert study.query("select agent_id::text from tuner.agent") == [(str(agent.id),)]
    trial = agent.claim_one()
    assert agent.finish(trial) == set()


def test_no_claim_waits_for_another_sessions_released_trial(study: StoredStudy) -> None:
    agent, other = study.agent(), study.agent()
    for trial in agent.claim(2):
        agent.store.end([Release(key=trial.key, reason="released")])
    with study.held_open("select from tuner.lease where number = 0 for update"):
        assert [trial.key.number for trial in other.claim(1)] == [1]
