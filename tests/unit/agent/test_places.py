"""How many trials are asked for at a time, and which worker gets one."""

from tests.unit.agent.machines import WORKER, Bench, claimed_trial, of_type
from tuner.agent import acts, events
from tuner.agent.rules import places
from tuner.agent.state import Phase
from tuner.messages import Left, Ready
from tuner.study.failure import FailureClass
from tuner.study.feed import Changes, Seen
from tuner.study.lease import Batch, Claimed, Release
from tuner.study.trial import TrialRecord, TrialState
from tuner.study.verdict import Outcome

OTHER = WORKER + 1


def _ready(bench: Bench, n_free: int, worker: int = WORKER) -> list[acts.Act]:
    """The worker says how much room is left beside all it was given."""
    n_taken = bench.machine.workers[worker].n_started
    return bench.say(Ready(n_free=n_free, n_taken=n_taken), worker=worker)


def _starts(result: list[acts.Act]) -> dict[int, int]:
    """Worker by trial number."""
    return {act.message.number: act.worker for act in of_type(result, acts.Send)}


def _final(n: int) -> tuple[TrialRecord, ...]:
    return tuple(
        TrialRecord(
            number=number,
            state=TrialState.COMPLETE,
            params={},
            value=0.5,
            last_step=None,
            last_value=None,
        )
        for number in range(n)
    )


def test_an_idle_worker_asks_at_once_for_all_it_has_room_for() -> None:
    bench = Bench()
    (claim,) = of_type(_ready(bench, 16), acts.AskClaim)
    assert claim.limit == 16


def test_what_is_on_its_way_to_a_worker_takes_room_whatever_it_said_before() -> None:
    bench = Bench()
    _ready(bench, 3)
    bench.claimed(claimed_trial(0), claimed_trial(1))
    worker = bench.machine.workers[WORKER]
    # it counted one of the two starts when it said so
    bench.say(Ready(n_free=5, n_taken=1))
    assert (worker.n_started, worker.n_free) == (2, 4)


def test_single_places_of_a_busy_worker_wait_for_others_and_not_for_ever() -> None:
    bench = Bench(fill_seconds=0.05)
    _ready(bench, 16)
    bench.claimed(*(claimed_trial(n) for n in range(16)))
    assert not of_type(_ready(bench, 1), acts.AskClaim)
    bench.now += 0.04
    assert not of_type(_ready(bench, 2), acts.AskClaim)
    assert bench.machine.next_deadline(bench.now) <= bench.now + 0.011
    (claim,) = of_type(bench.tick(0.011), acts.AskClaim)
    assert claim.limit == 2


def test_many_places_of_a_busy_worker_do_not_wait() -> None:
    bench = Bench(fill_seconds=5.0)
    _ready(bench, 16)
    result = bench.claimed(*(claimed_trial(n) for n in range(8)))
    (claim,) = of_type(result, acts.AskClaim)
    assert claim.limit == 8


def test_no_worker_gets_more_than_an_equal_part_of_half_of_what_is_left() -> None:
    bench = Bench(n_workers=2)
    bench.machine.limit_trials = 30
    bench.feed(trials=_final(20))
    (claim,) = of_type(_ready(bench, 16), acts.AskClaim)
    assert claim.limit == 3
    bench.machine.fleet.n_other_agents = 4
    bench.claimed()
    (claim,) = of_type(bench.tick(2.0), acts.AskClaim)
    assert claim.limit == 1


def test_a_model_is_not_blinded_by_too_many_trials_in_flight_but_no_device_is_idle() -> None:
    bench = Bench(n_workers=2, max_in_flight=6)
    (claim,) = of_type(_ready(bench, 16), acts.AskClaim)
    assert claim.n_new == 6
    bench.claimed(*(claimed_trial(n) for n in range(6)))
    _ready(bench, 10)
    assert places.wanted_and_room(bench.machine)[0] == 0
    assert not of_type(bench.tick(60.0), acts.AskClaim), "all that have begun are here"
    (claim,) = of_type(_ready(bench, 16, OTHER), acts.AskClaim)
    assert claim.n_new == 1


def test_trials_that_have_begun_or_wait_in_the_queue_train_together_whatever_a_model_may_see() -> (
    None
):
    bench = Bench(max_in_flight=6)
    waiting = frozenset(range(40))  # enqueued, or released before a restart
    changes = Changes(trials=(), rung_values=(), seen=Seen(highest=40, open_numbers=waiting))
    bench.do(events.Changed(changes=changes))
    (claim,) = of_type(_ready(bench, 1), acts.AskClaim)
    assert (claim.limit, claim.n_new) == (1, 1)
    bench.claimed(claimed_trial(0))
    (claim,) = of_type(_ready(bench, 15), acts.AskClaim)
    assert (claim.limit, claim.n_new) == (15, 0)
    bench.claimed()
    assert not of_type(bench.tick(2.0), acts.AskClaim), "others have them all: it looks seldom"
    (claim,) = of_type(bench.tick(3.1), acts.AskClaim)
    assert len(_starts(bench.claimed(*(claimed_trial(n) for n in range(1, 16))))) == 15


def test_a_machine_that_waits_for_a_suspects_place_keeps_no_trials_from_others() -> None:
    bench = Bench()
    _ready(bench, 16)
    bench.claimed(*(claimed_trial(n) for n in range(4)))
    bench.claimed(claimed_trial(9, losses=3, attempt=4))
    assert not of_type(_ready(bench, 12), acts.AskClaim)
    assert places.wanted_and_room(bench.machine)[0] == 0
    for n in range(4):
        bench.leave(claimed_trial(n), Outcome.COMPLETE, value=0.5)
    assert [lane.key.number for lane in bench.machine.lanes_of(WORKER)] == [9]
    assert not of_type(_ready(bench, 15), acts.AskClaim), "it trains alone"


def test_enqueued_trials_that_nobody_has_begun_are_not_in_flight() -> None:
    bench = Bench(max_in_flight=6)
    waiting = tuple(
        TrialRecord(
            number=number,
            state=TrialState.WAITING,
            params={},
            value=None,
            last_step=None,
            last_value=None,
        )
        for number in range(20)
    )
    seen = Seen(highest=19, open_numbers=frozenset(range(20)), snapshot="7:9:8")
    bench.do(events.Changed(changes=Changes(trials=waiting, rung_values=(), seen=seen)))
    (claim,) = of_type(_ready(bench, 16), acts.AskClaim)
    assert (claim.limit, claim.n_new) == (16, 6)


def test_trials_of_one_kind_come_together_and_workers_stay_balanced() -> None:
    bench = Bench(n_workers=2, structural=frozenset({"width"}))
    _ready(bench, 64)
    _ready(bench, 64, OTHER)
    kinds = [claimed_trial(n, params={"width": 32 if n % 2 else 64}) for n in range(12)]
    where = _starts(bench.claimed(*kinds))
    assert len({where[n] for n in range(0, 12, 2)}) == 1
    assert len({where[n] for n in range(1, 12, 2)}) == 1
    assert where[0] != where[1]
    where = _starts(bench.claimed(*(claimed_trial(n, params={"width": 32}) for n in range(12, 36))))
    loads = [len(bench.machine.lanes_of(pid)) for pid in (WORKER, OTHER)]
    assert abs(loads[0] - loads[1]) <= 4


def test_a_trial_that_was_lost_again_and_again_trains_alone() -> None:
    bench = Bench(n_workers=2)
    _ready(bench, 16)
    bench.claimed(*(claimed_trial(n) for n in range(4)))
    suspect = claimed_trial(9, losses=3, attempt=4)
    _ready(bench, 12)
    assert _starts(bench.claimed(suspect)) == {}
    assert bench.machine.lanes[suspect.key].phase is Phase.QUEUED
    # the other worker becomes free: it gets the suspect, and nobody else beside it
    assert _starts(_ready(bench, 16, OTHER)) == {9: OTHER}
    _ready(bench, 15, OTHER)
    where = _starts(bench.claimed(*(claimed_trial(n) for n in range(20, 24))))
    assert set(where.values()) == {WORKER}


def test_the_worker_with_the_fewest_trials_is_emptied_for_a_suspect() -> None:
    bench = Bench()
    _ready(bench, 16)
    first = claimed_trial(0)
    bench.claimed(first)
    _ready(bench, 15)
    bench.claimed(claimed_trial(9, losses=3, attempt=4), claimed_trial(1))
    _ready(bench, 15)
    assert len(bench.machine.lanes_of(WORKER)) == 1, "nobody joins any more"
    bench.leave(first, Outcome.COMPLETE, value=0.5)
    assert [lane.key.number for lane in bench.machine.lanes_of(WORKER)] == [9]


def test_when_a_process_with_several_trials_dies_all_are_losses_and_none_is_blamed() -> None:
    bench = Bench(retries=0)
    _ready(bench, 16)
    bench.claimed(claimed_trial(0), claimed_trial(1))
    ends = bench.ends(bench.gone(1))
    assert len(ends) == 2
    for end in ends:
        assert isinstance(end, Release)
        assert end.failure is not None
        assert end.failure.cause is FailureClass.CRASH


def test_a_trial_that_a_dying_worker_never_saw_is_given_to_another() -> None:
    bench = Bench()
    _ready(bench, 16)
    first = claimed_trial(0)
    bench.claimed(first)
    n_taken = bench.machine.workers[WORKER].n_started
    bench.say(Ready(n_free=15, n_taken=n_taken))
    # the start crosses the failure of the first one
    late = claimed_trial(1)
    bench.machine.workers[WORKER].n_taken = n_taken
    answer = Claimed(trials=(late,), n_open=2, limit_reached=False)
    bench.do(events.ClaimAnswered(claimed=answer))
    left = Left(number=0, attempt=1, how=Outcome.EXCEPTION, message="boom")
    bench.say(left)
    assert bench.machine.workers[WORKER].n_free == 0
    bench.gone(1)
    lane = bench.machine.lanes[late.key]
    assert (lane.phase, lane.worker) == (Phase.QUEUED, None)


def test_a_dropped_trial_is_no_reason_to_kill_those_beside_it() -> None:
    bench = Bench()
    _ready(bench, 16)
    lost, kept = claimed_trial(0), claimed_trial(1)
    bench.claimed(lost, kept)
    bench.report(lost, 1, 0.5)
    bench.report(kept, 1, 0.5)
    bench.do(
        events.BatchWritten(
            batch=Batch(reports=(), decisions=(), checkpoints=(), printed=()),
            lost=frozenset({lost.key}),
        )
    )
    assert lost.key not in bench.machine.lanes
    assert not of_type(bench.tick(60.0), acts.KillWorker)
    # once it has no other trial, it has to answer for the lost one
    bench.leave(kept, Outcome.COMPLETE, value=0.5)
    bench.machine.workers[WORKER].leave_by = bench.now + 10
    result = bench.tick(11.0)
    assert of_type(result, acts.DumpStacks)


def test_what_a_functions_code_writes_on_the_pipe_claims_nothing_more() -> None:
    bench = Bench(max_lanes=1)
    bench.training()
    result = bench.say(Ready(n_free=4096, n_taken=2**31 - 1))
    assert sum(claim.limit for claim in of_type(result, acts.AskClaim)) <= 1
    assert bench.machine.workers[WORKER].n_free <= 1
