"""Who gets a trial that ran out of memory: the agents with more of it, if there are any."""

from tests.integration.stores import TELEMETRY, StoreAgent, StoredStudy
from tuner.storage.work.claims import Claimer
from tuner.study.failure import Failure, FailureClass
from tuner.study.lease import Release

GIB = 2**30
FULL = Failure(cause=FailureClass.OUT_OF_MEMORY, message="CUDA out of memory")


def with_memory(agent: StoreAgent, n_bytes: int) -> StoreAgent:
    agent.study.query(
        "update tuner.agent set memory_bytes = %s where agent_id = %s", n_bytes, agent.id
    )
    about = vars(agent.store._claimer)
    agent.store._claimer = Claimer(**{**about, "memory_bytes": n_bytes})
    return agent


def test_only_agents_with_more_memory_take_it_while_there_are_any(study: StoredStudy) -> None:
    small, other = (with_memory(study.agent(), 16 * GIB) for _ in range(2))
    large = with_memory(study.agent(), 80 * GIB)
    trial = small.claim_one()
    offer = Release(key=trial.key, reason="full", failure=FULL, short_of_bytes=16 * GIB)
    small.store.end([offer])
    assert study.lease(0, "state, failures, short_of_bytes, failed_by") == (
        "free",
        0,
        16 * GIB,
        None,
    )
    assert study.query("select n_failed_in_a_row from tuner.study") == [(0,)]
    assert other.claim_one().key.number == 1, "a new draw"
    taken = large.claim_one()
    assert (taken.key.number, taken.short_of_bytes) == (0, 16 * GIB)
    large.store.end([Release(key=taken.key, reason="released")])
    study.query("update tuner.agent set left_at = now() where agent_id = %s", large.id)
    assert small.claim_one().key.number == 0, "nobody with more is left"


def test_heartbeats_bring_the_memory_of_the_others(study: StoredStudy) -> None:
    small, large = with_memory(study.agent(), 16 * GIB), with_memory(study.agent(), 80 * GIB)
    assert small.store.beat(TELEMETRY).max_other_bytes == 80 * GIB
    assert large.store.beat(TELEMETRY).max_other_bytes == 16 * GIB
    study.query('update tuner.agent set telemetry = \'{"state": "drained"}\'')
    assert small.store.beat(TELEMETRY).max_other_bytes is None
