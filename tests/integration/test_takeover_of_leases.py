"""Takeover: a compare-and-swap on the beat that was seen."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.integration.stores import StoreAgent, StoredStudy, report
from tuner.study.agents import AgentBeat
from tuner.study.failure import MAX_LOSSES
from tuner.study.lease import Batch, Claimed, Origin

NewStudy = Callable[..., StoredStudy]


def test_a_silent_agents_trial_goes_on_as_the_same_trial(new_study: NewStudy) -> None:
    study = new_study(2)
    lost, heir = study.agent(), study.agent()
    trial = lost.claim_one()
    lost.store.report(Batch(reports=[report(trial, 1, 0.9)]))
    again = heir.claim_one(silent=[heir.sees(lost)])
    assert again.origin is Origin.TAKEN_OVER
    assert (again.key.number, again.key.attempt) == (trial.key.number, 2)
    assert (again.params, again.seed, again.draw) == (trial.params, trial.seed, trial.draw)
    assert (again.losses, again.failures) == (1, 0)
    assert (again.checkpoint, again.history) == (None, {})
    assert study.states() == ["RUNNING"]
    assert study.lease(0, "owner::text") == (str(heir.id),)
    kinds = study.query("select kind from tuner.event where number = 0 order by event_id")
    assert [kind for (kind,) in kinds] == ["claimed", "taken_over", "claimed"]


def test_an_agent_that_has_beaten_since_keeps_its_trials(study: StoredStudy) -> None:
    busy, other = study.agent(), study.agent()
    busy.claim_one()
    seen = other.sees(busy)
    busy.beat()
    assert [t.origin for t in other.claim(1, silent=[seen])] == [Origin.NEW]
    assert study.lease(0, "attempt, losses, owner::text") == (1, 0, str(busy.id))


def test_an_agent_whose_beat_is_being_written_keeps_its_trials(study: StoredStudy) -> None:
    busy, other = study.agent(), study.agent()
    busy.claim_one()
    seen = other.sees(busy)
    beating = "update tuner.agent set beat = beat + 1 where agent_id = %s::uuid"
    with study.held_open(beating, str(busy.id)):
        assert [t.origin for t in other.claim(1, silent=[seen])] == [Origin.NEW]
    assert study.lease(0, "attempt, losses") == (1, 0)


def test_two_takers_at_once_share_lost_trials_and_each_goes_to_one(new_study: NewStudy) -> None:
    study = new_study(6)
    for _ in range(5):
        lost = study.agent()
        held = lost.claim(6)
        takers = [study.agent() for _ in range(4)]
        seen = takers[0].sees(lost)
        barrier = threading.Barrier(len(takers))
        claimed = _claim_together(takers, barrier, seen)
        taken = [trial for answer in claimed for trial in answer.trials]
        assert sorted(t.key.number for t in taken) == sorted(t.key.number for t in held)
        assert len(taken) == 6
        study.query("update tuner.lease set state = 'free', owner = null, losses = 0")


def _claim_together(
    takers: list[StoreAgent], barrier: threading.Barrier, seen: AgentBeat
) -> list[Claimed]:
    def take(taker: StoreAgent) -> Claimed:
        barrier.wait()
        return taker.ask(6, silent=[seen])

    with ThreadPoolExecutor(len(takers)) as pool:
        return list(pool.map(take, takers))


def test_several_silent_agents_are_taken_over_in_one_claim_up_to_its_limit(
    new_study: NewStudy,
) -> None:
    study = new_study(6)
    lost = [study.agent() for _ in range(3)]
    for agent in lost:
        agent.claim(2)
    heir = study.agent()
    silent = [heir.sees(agent) for agent in lost]
    first = heir.claim(4, silent=silent)
    assert [t.key.number for t in first] == [0, 1, 2, 3]
    rest = heir.claim(4, silent=silent, known=[t.key for t in first])
    assert [t.key.number for t in rest] == [4, 5]
    assert {t.origin for t in first + rest} == {Origin.TAKEN_OVER}


def test_lost_trials_go_before_released_and_new_ones(study: StoredStudy) -> None:
    lost, heir = study.agent(), study.agent()
    lost.claim(2)
    study.query("update tuner.lease set state = 'free', owner = null where number = 0")
    taken = heir.claim(1, silent=[heir.sees(lost)])
    assert [(t.key.number, t.origin) for t in taken] == [(1, Origin.TAKEN_OVER)]


def test_a_takeover_costs_no_budget(new_study: NewStudy) -> None:
    study = new_study(2)
    lost, heir = study.agent(), study.agent()
    lost.claim(2)
    assert len(heir.claim(4, silent=[heir.sees(lost)])) == 2
    assert study.query("select n_claimed, next_draw from tuner.study") == [(2, 2)]


def test_an_agent_that_holds_nothing_is_not_named_and_one_never_names_itself(
    study: StoredStudy,
) -> None:
    idle, busy, other = study.agent(), study.agent(), study.agent()
    busy.claim(2)
    assert [beat.agent_id for beat in other.beat()] == [busy.id]
    assert busy.beat() == []
    (seen,) = idle.beat()
    assert (seen.beat, seen.host, seen.boot, seen.pid) == (
        1,
        busy.identity.host,
        busy.identity.boot,
        4711,
    )


def test_the_fifth_loss_ends_the_trial_as_quarantined(study: StoredStudy) -> None:
    holder = study.agent()
    trial = holder.claim_one()
    for losses in range(1, MAX_LOSSES):
        heir = study.agent()
        again = heir.claim_one(silent=[heir.sees(holder)])
        assert (again.key.number, again.key.attempt, again.losses) == (0, losses + 1, losses)
        holder = heir
    last = study.agent()
    claimed = last.ask(1, silent=[last.sees(holder)])
    assert [t.origin for t in claimed.trials] == [Origin.NEW]
    assert study.states() == ["FAIL", "RUNNING"]
    reason = f"quarantined: lost {MAX_LOSSES} times"
    assert study.lease(0, "state, reason, failure, losses, owner") == (
        "done",
        reason,
        "agent_lost",
        MAX_LOSSES,
        None,
    )
    assert study.attributes(0) == {"reason": reason, "failure": "agent_lost"}
    assert study.optuna().get_trials()[0].datetime_complete is not None
    assert study.query("select 1 from tuner.lease where number = 0 and ended_at is null") == []
    assert holder.finish(trial) == {trial.key}


def test_a_quarantined_trial_keeps_no_checkpoint(study: StoredStudy) -> None:
    lost, heir = study.agent(), study.agent()
    lost.claim_one()
    study.query(
        "with made as (insert into tuner.checkpoint (study_id, number, attempt, step, sha256,"
        " n_bytes) values (%s, 0, 1, 1, 'x', 0) returning checkpoint_id)"
        " update tuner.lease set losses = 4, checkpoint_id = made.checkpoint_id from made",
        study.study_id,
    )
    heir.claim(1, silent=[heir.sees(lost)])
    assert study.states()[0] == "FAIL"
    assert study.query("select 1 from tuner.checkpoint") == []


def test_losing_a_trial_that_a_stock_client_has_ended_keeps_the_clients_result(
    study: StoredStudy,
) -> None:
    lost, heir = study.agent(), study.agent()
    lost.claim_one()
    study.optuna().tell(0, 0.25)
    study.query("update tuner.lease set losses = 4")
    heir.claim(1, silent=[heir.sees(lost)])
    assert study.states()[0] == "COMPLETE"
    assert study.attributes(0) == {}
