"""What must hold whatever happens in between: each one forces the moment at which it could break.

`test_fence.py` shows that they hold, `test_mutants.py` that each one notices the code it is for.
"""

import threading
from collections.abc import Callable
from typing import Any

from tests.integration.stores import StoredStudy, report
from tuner.study.feed import Seen
from tuner.study.lease import Batch, Claimed, Origin, Release
from tuner.study.trial import TrialState

WAITS_SECONDS = 0.3  # long enough to see that somebody waits for a lock

TAKE_OVER = (
    "update tuner.lease set attempt = attempt + 1, losses = losses + 1, owner = gen_random_uuid()"
    " where number = 0"
)


class Aside:
    """A call in a thread of its own."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._result: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(call,), daemon=True)
        self._thread.start()

    def _run(self, call: Callable[[], Any]) -> None:
        try:
            self._result = call()
        except BaseException as error:
            self._error = error

    def still_waits(self) -> bool:
        """Whether it hangs on a lock."""
        self._thread.join(WAITS_SECONDS)
        return self._thread.is_alive()

    def result(self) -> Any:
        """What it returned or raised."""
        self._thread.join(10)
        assert not self._thread.is_alive(), "it waits for ever"
        if self._error is not None:
            raise self._error
        return self._result


def a_report_waits_for_a_takeover_and_is_refused(study: StoredStudy) -> None:
    """The takeover commits between the report's start and its insert."""
    agent = study.agent()
    trial = agent.claim_one()
    batch = Batch(reports=[report(trial, 1, 0.7, accuracy=0.9)])
    with study.held_open(TAKE_OVER) as other:
        late = Aside(lambda: agent.store.report(batch))
        late.still_waits()
        other.commit()
    assert late.result() == {trial.key}
    assert study.values(0) == {}
    assert study.query("select 1 from tuner.metric") == []


def an_end_waits_for_a_takeover_and_is_refused(study: StoredStudy) -> None:
    """As above, for the end of a trial."""
    agent = study.agent()
    trial = agent.claim_one()
    with study.held_open(TAKE_OVER) as other:
        late = Aside(lambda: agent.finish(trial, reports=[report(trial, 1, 0.7)]))
        late.still_waits()
        other.commit()
    assert late.result() == {trial.key}
    assert (study.states(), study.values(0)) == (["RUNNING"], {})
    assert study.lease(0, "state, attempt") == ("held", 2)


def a_claim_waits_for_a_client_that_gives_out_a_number(study: StoredStudy) -> None:
    """Optuna locks its study row, takes the highest number plus one, inserts, commits."""
    agent = study.agent()
    agent.claim_one()
    locked = "select from studies where study_id = %s for update"
    with study.held_open(locked, study.study_id) as stock:
        with stock.cursor() as cursor:
            insert = "insert into trials (number, study_id, state) values (1, %s, 'RUNNING')"
            cursor.execute(insert, (study.study_id,))
        claim = Aside(lambda: agent.ask(2, known=[]))
        claim.still_waits()
        stock.commit()
    claimed: Claimed = claim.result()
    assert [trial.key.number for trial in claimed.trials] == [0, 2]


def two_claims_at_once_do_not_exceed_the_budget(study: StoredStudy) -> None:
    """Another agent's claim of all that is left commits meanwhile."""
    agent = study.agent()
    spend = "update tuner.study set n_claimed = limit_trials, next_draw = limit_trials"
    with study.held_open(spend) as other:
        claim = Aside(lambda: agent.ask(3))
        claim.still_waits()
        other.commit()
    assert list(claim.result().trials) == []
    assert study.query("select 1 from trials") == []


def a_beat_since_it_was_seen_forbids_a_takeover(study: StoredStudy) -> None:
    """The compare in compare-and-swap."""
    busy, other = study.agent(), study.agent()
    busy.claim_one()
    seen = other.sees(busy)
    busy.beat()
    assert [trial.origin for trial in other.claim(1, silent=[seen])] == [Origin.NEW]
    assert study.lease(0, "attempt, losses") == (1, 0)


def a_beat_that_is_being_written_forbids_a_takeover(study: StoredStudy) -> None:
    """Both rows are locked: else a beat slips in between."""
    busy, other = study.agent(), study.agent()
    busy.claim_one()
    seen = other.sees(busy)
    beating = "update tuner.agent set beat = beat + 1 where agent_id = %s::uuid"
    with study.held_open(beating, str(busy.id)):
        claim = Aside(lambda: other.claim(1, silent=[seen]))
        assert not claim.still_waits()
    assert [trial.origin for trial in claim.result()] == [Origin.NEW]
    assert study.lease(0, "attempt, losses") == (1, 0)


def a_lost_answer_strands_no_trial(study: StoredStudy) -> None:
    """The agent beats on for a trial that it does not know of: only it can find it."""
    agent = study.agent()
    lost = agent.claim(2)
    again = agent.claim(2, known=[])
    assert [trial.key for trial in again] == [trial.key for trial in lost]


def a_claim_passes_by_a_trial_that_somebody_else_is_taking(study: StoredStudy) -> None:
    """A stopped claimer must not stop the fleet."""
    agent, other = study.agent(), study.agent()
    for trial in agent.claim(2):
        agent.store.end([Release(key=trial.key, reason="released")])
    with study.held_open("select from tuner.lease where number = 0 for update"):
        claim = Aside(lambda: other.claim(1))
        waits = claim.still_waits()
    assert [trial.key.number for trial in claim.result()] == [1]
    assert not waits, "it waits for the other claimer"


def a_takeover_passes_by_a_trial_that_somebody_else_is_taking(study: StoredStudy) -> None:
    """As above, for lost trials."""
    lost, other = study.agent(), study.agent()
    lost.claim(2)
    seen = other.sees(lost)
    with study.held_open("select from tuner.lease where number = 0 for update"):
        claim = Aside(lambda: other.claim(1, silent=[seen]))
        waits = claim.still_waits()
    assert [trial.key.number for trial in claim.result()] == [1]
    assert not waits, "it waits for the other claimer"


def an_enqueued_trial_that_a_client_is_taking_is_passed_by(study: StoredStudy) -> None:
    """A stock client takes it in a transaction of its own."""
    study.optuna().enqueue_trial({"n_layers": 1})
    agent = study.agent()
    with study.held_open("update trials set state = 'RUNNING' where state = 'WAITING'"):
        claim = Aside(lambda: agent.claim(1))
        waits = claim.still_waits()
    assert [trial.origin for trial in claim.result()] == [Origin.NEW]
    assert not waits, "it waits for the client"
    assert study.query("select number from tuner.lease") == [(1,)]


def a_rung_value_that_commits_late_is_fed(study: StoredStudy) -> None:
    """Written before others that were seen already."""
    reader, slow, quick = study.agent(), study.agent(), study.agent()
    early, late = slow.claim_one(), quick.claim_one()
    write = "insert into tuner.rung (study_id, step, number, value) values (%s, 3, %s, 0.5)"
    with study.held_open(write, study.study_id, early.key.number) as writing:
        at_rung = report(late, 3, 0.4)
        quick.store.report(
            Batch(reports=[type(at_rung)(**{**vars(at_rung), "rungs": (at_rung.step,)})])
        )
        first = reader.store.changes(Seen())
        assert [v.number for v in first.rung_values] == [late.key.number]
        writing.commit()
    second = reader.store.changes(first.seen)
    assert early.key.number in [v.number for v in second.rung_values]


def a_clients_result_stands(study: StoredStudy) -> None:
    """Somebody ended the trial with an Optuna client meanwhile."""
    agent = study.agent()
    trial = agent.claim_one()
    study.optuna().tell(trial.key.number, 0.125)
    assert agent.finish(trial, TrialState.PRUNED, 0.9, reason="rung 3: rank 4 of 4") == frozenset()
    (frozen,) = study.optuna().get_trials()
    assert (frozen.state.name, frozen.value, frozen.user_attrs) == ("COMPLETE", 0.125, {})
    assert study.lease(0, "state, reason") == ("done", "ended by an Optuna client")


def an_end_whose_answer_was_lost_succeeds_again(study: StoredStudy) -> None:
    """Done by me and this attempt is success."""
    agent = study.agent()
    trial = agent.claim_one()
    assert agent.finish(trial) == frozenset()
    before = study.query("select * from tuner.lease")
    assert agent.finish(trial, TrialState.FAIL, reason="it is another end") == frozenset()
    assert study.query("select * from tuner.lease") == before
    assert study.states() == ["COMPLETE"]


ALL: list[Callable[[StoredStudy], None]] = [
    a_report_waits_for_a_takeover_and_is_refused,
    an_end_waits_for_a_takeover_and_is_refused,
    a_claim_waits_for_a_client_that_gives_out_a_number,
    two_claims_at_once_do_not_exceed_the_budget,
    a_beat_since_it_was_seen_forbids_a_takeover,
    a_beat_that_is_being_written_forbids_a_takeover,
    a_lost_answer_strands_no_trial,
    a_claim_passes_by_a_trial_that_somebody_else_is_taking,
    a_takeover_passes_by_a_trial_that_somebody_else_is_taking,
    an_enqueued_trial_that_a_client_is_taking_is_passed_by,
    a_rung_value_that_commits_late_is_fed,
    a_clients_result_stands,
    an_end_whose_answer_was_lost_succeeds_again,
]
