"""Who is to blame: the breaker of a device, a halted study, and a machine without a database."""

from uuid import uuid4

from tests.unit.agent.machines import WORKER, Bench, claimed_trial, of_type
from tuner.agent import acts, events, notices
from tuner.agent.rules import places
from tuner.agent.rules.breaker import FIRST_HOLD_SECONDS, TRIP_AFTER
from tuner.agent.state import WorkerState
from tuner.errors import CannotWork
from tuner.messages import Ready, Stop
from tuner.study.agents import AgentBeat, Desired, Pulse
from tuner.study.ending import EndingKind
from tuner.study.lease import Claimed, ClaimedTrial, Origin, Release
from tuner.study.trial import AttemptKey
from tuner.study.verdict import Outcome, Verdict


def _said(result: list[acts.Act], kind: type[notices.Notice]) -> list[notices.Notice]:
    return [act.notice for act in of_type(result, acts.Say) if isinstance(act.notice, kind)]


def _beside_another_machine(bench: Bench) -> None:
    other = AgentBeat(agent_id=uuid4(), beat=1, host="elsewhere", boot="elsewhere", pid=1)
    bench.do(events.PulseHeard(silent=(), pulse=Pulse(others=(other,))))


def _train(bench: Bench, number: int, how: Outcome, worker: int = WORKER) -> list[acts.Act]:
    """One trial from its claim to its end on a worker, which is ready for another then."""
    bench.ready(worker)
    trial = claimed_trial(number)
    bench.claimed(trial)
    result = bench.say(
        _left(trial, how),
        worker=worker,
    )
    ends = bench.ends(result)
    return [*result, *bench.stored(*ends), *bench.tick(0.01)]


def _left(trial: ClaimedTrial, how: Outcome) -> object:
    from tuner.messages import Left

    value = 0.5 if how is Outcome.COMPLETE else None
    return Left(number=trial.key.number, attempt=1, how=how, value=value, message="boom")


def _asked(result: list[acts.Act]) -> list[int]:
    return [f.key.number for act in of_type(result, acts.AskElsewhere) for f in act.faults]


def test_a_failed_attempt_is_announced_with_the_last_one_to_come() -> None:
    for how, last in ((Outcome.EXCEPTION, 3), (Outcome.KILLED, 5)):
        bench = Bench(retries=2)
        (notice,) = _said(_train(bench, 0, how), notices.AttemptReleased)
        assert isinstance(notice, notices.AttemptReleased)
        assert (notice.has_failed, notice.reason, notice.max_attempts) == (True, "boom", last)


def test_failures_alone_open_no_breaker_and_slow_nothing_on_a_lonely_machine() -> None:
    bench = Bench()
    for number in range(2 * TRIP_AFTER):
        result = _train(bench, number, Outcome.EXCEPTION)
        assert not of_type(result, acts.AskElsewhere)
    bench.machine.claims.not_before = 0.0
    assert of_type(bench.ready(), acts.AskClaim)
    assert bench.machine.breaker.open_places == set()


def test_a_row_of_failures_beside_another_machine_is_looked_into_and_claims_wait() -> None:
    bench = Bench()
    _beside_another_machine(bench)
    for number in range(TRIP_AFTER - 1):
        assert not _asked(_train(bench, number, Outcome.EXCEPTION))
    assert _asked(_train(bench, TRIP_AFTER - 1, Outcome.EXCEPTION)) == list(range(TRIP_AFTER))
    bench.machine.claims.not_before = 0.0
    assert not of_type(bench.ready(), acts.AskClaim), "others show first who is to blame"
    assert of_type(bench.tick(FIRST_HOLD_SECONDS), acts.AskClaim)


def test_claims_wait_no_longer_when_nobody_else_is_left_to_show_it() -> None:
    other = AgentBeat(agent_id=uuid4(), beat=1, host="elsewhere", boot="elsewhere", pid=1)
    for silent, others, desired in (
        ((), (), Desired.RUNNING),  # they have ended what there was
        ((other,), (other,), Desired.RUNNING),  # their trials are to be taken over
        ((), (other,), Desired.STOPPING),
    ):
        bench = Bench()
        _beside_another_machine(bench)
        for number in range(TRIP_AFTER):
            _train(bench, number, Outcome.EXCEPTION)
        bench.ready()
        assert not of_type(bench.tick(1.1), acts.AskClaim)
        pulse = Pulse(others=others, desired=desired)
        assert of_type(bench.do(events.PulseHeard(silent=silent, pulse=pulse)), acts.AskClaim)


def test_trials_that_fail_here_and_do_well_elsewhere_end_the_agent_with_its_reason() -> None:
    bench = Bench()
    _beside_another_machine(bench)
    for number in range(TRIP_AFTER):
        _train(bench, number, Outcome.EXCEPTION)
    result = bench.do(events.ElsewhereHeard(numbers=frozenset(range(TRIP_AFTER))))
    (opened,) = _said(result, notices.BreakerOpened)
    assert isinstance(opened, notices.BreakerOpened)
    assert (
        opened.sentence == "cpu:0: no more trials here; trials 0, 1, 2 failed and do well elsewhere"
    )
    (leave,) = of_type(result, acts.Leave)
    assert leave.ending.kind is EndingKind.FAILED
    assert isinstance(leave.ending.error, CannotWork)
    assert leave.ending.error.exit_code == 7
    assert "0, 1, 2" in str(leave.ending.error)


def test_fewer_than_enough_of_them_change_nothing_yet() -> None:
    bench = Bench()
    _beside_another_machine(bench)
    for number in range(TRIP_AFTER):
        _train(bench, number, Outcome.EXCEPTION)
    result = bench.do(events.ElsewhereHeard(numbers=frozenset({0, 1})))
    assert not of_type(result, acts.Leave)
    assert _asked(bench.tick(2.1)) == [2], "only the one in doubt is asked for again"


def test_a_trial_that_ends_well_in_between_speaks_for_its_device() -> None:
    bench = Bench()
    _beside_another_machine(bench)
    for number in range(TRIP_AFTER - 1):
        _train(bench, number, Outcome.EXCEPTION)
    _train(bench, 7, Outcome.COMPLETE)
    assert not _asked(_train(bench, 8, Outcome.EXCEPTION))


def test_a_bad_device_is_taken_out_and_its_neighbour_works_on() -> None:
    bench = Bench(n_workers=2)
    bad, good = WORKER, WORKER + 1
    for number in range(TRIP_AFTER):
        _train(bench, number, Outcome.EXCEPTION, bad)
        again = claimed_trial(number, attempt=2, origin=Origin.RELEASED)
        bench.machine.workers[bad].room = 0
        bench.ready(good)
        bench.claimed(again)
        from tuner.messages import Left

        left = Left(number=number, attempt=2, how=Outcome.COMPLETE, value=0.5)
        result = bench.say(left, worker=good)
        bench.stored(*bench.ends(result))
    assert bench.machine.breaker.open_places == {"cpu:0"}
    bench.ready(bad)
    bench.machine.workers[good].room = 0
    assert places.wanted_and_room(bench.machine)[0] == 0
    bench.machine.workers[good].room = 1
    assert places.wanted_and_room(bench.machine)[0] == 1
    assert not of_type(bench.tick(1), acts.Leave)


def test_a_good_device_between_two_workers_is_still_there() -> None:
    bench = Bench(n_workers=2)
    bad, good = WORKER, WORKER + 1
    _beside_another_machine(bench)
    for number in range(TRIP_AFTER):
        _train(bench, number, Outcome.EXCEPTION, bad)
        bench.machine.workers[bad].room = 0
    bench.machine.breaker.good_at = bench.now
    bench.do(events.ElsewhereHeard(numbers=frozenset(range(TRIP_AFTER))))
    assert bench.machine.breaker.open_places == {"cpu:0"}
    _train(bench, 7, Outcome.COMPLETE, good)
    bench.machine.workers[good].room = 0
    bench.claimed()
    result = bench.gone(0, worker=good)  # as after every trial of a function
    assert of_type(result, acts.ReplaceWorker)
    assert not of_type(result, acts.Leave)


def test_a_trial_that_comes_when_the_last_breaker_has_opened_is_released() -> None:
    bench = Bench()
    _beside_another_machine(bench)
    for number in range(TRIP_AFTER):
        _train(bench, number, Outcome.EXCEPTION)
    bench.ready()
    assert of_type(bench.tick(FIRST_HOLD_SECONDS), acts.AskClaim)
    opened = bench.do(events.ElsewhereHeard(numbers=frozenset(range(TRIP_AFTER))))
    assert not of_type(opened, acts.Leave), "the claim is on its way"
    (end,) = bench.ends(bench.claimed(claimed_trial(9)))
    assert isinstance(end, Release)
    assert end.failure is None
    assert of_type(bench.stored(end), acts.Leave)


def test_what_params_do_to_a_trial_is_not_held_against_the_machine() -> None:
    bench = Bench()
    _beside_another_machine(bench)
    for number, how in enumerate([Outcome.NON_FINITE, Outcome.OUT_OF_MEMORY, Outcome.MISTAKE] * 2):
        assert not _asked(_train(bench, number, how))


def test_a_crash_of_the_worker_counts_against_its_device() -> None:
    bench = Bench()
    _beside_another_machine(bench)
    for number in range(TRIP_AFTER):
        bench.training(number)
        result = bench.gone(-11)
        bench.stored(*bench.ends(result))
        bench.machine.workers[WORKER] = WorkerState(name="cpu:0")
    assert [fault.key.number for fault in bench.machine.breaker.faults] == [0, 1, 2]


def _die_with(bench: Bench, *numbers: int) -> None:
    """A worker ends with all of these trials; another one takes its place."""
    bench.say(Ready(n_free=64, n_taken=bench.machine.workers[WORKER].n_started))
    bench.claimed(*(claimed_trial(number) for number in numbers))
    bench.stored(*bench.ends(bench.gone(-11)))
    bench.machine.workers[WORKER] = WorkerState(name="cpu:0")


def test_a_process_that_dies_with_many_trials_has_failed_once() -> None:
    bench = Bench()
    _beside_another_machine(bench)
    _die_with(bench, *range(64))
    assert bench.machine.breaker.hold_until == 0.0
    innocent = frozenset(range(1, 64))
    bench.do(events.ElsewhereHeard(numbers=innocent))
    assert bench.machine.breaker.open_places == set()


def test_a_bad_trial_that_takes_others_with_it_again_and_again_costs_no_device() -> None:
    bench = Bench()
    _beside_another_machine(bench)
    for first in (1, 101, 201):
        _die_with(bench, 0, *range(first, first + 63))
        bench.do(events.ElsewhereHeard(numbers=frozenset(range(1, 1000))))
    assert bench.machine.breaker.open_places == set()
    # if that one, too, does well elsewhere, it was the device
    bench.do(events.ElsewhereHeard(numbers=frozenset({0})))
    assert bench.machine.breaker.open_places == {"cpu:0"}


def test_a_halt_hands_everything_back_and_then_the_agent_leaves() -> None:
    bench = Bench()
    trial = bench.training()
    result = bench.pulse(Desired.HALTED, reason="8 failures in a row, the last: trial 3: boom")
    assert notices.StudyHalted(reason="8 failures in a row, the last: trial 3: boom") in _said(
        result, notices.StudyHalted
    )
    (sent,) = of_type(result, acts.Send)
    assert sent.message == Stop(number=0, attempt=1, verdict=Verdict.RELEASE)
    assert not of_type(result, acts.Leave), "its worker still saves"
    left = bench.leave(trial, Outcome.RELEASED)
    (end,) = bench.ends(left)
    assert isinstance(end, Release)
    assert end.reason == "released: the study was halted"
    (leave,) = of_type(bench.stored(end), acts.Leave)
    assert leave.ending.kind is EndingKind.HALTED


def test_a_halted_machine_claims_nothing() -> None:
    bench = Bench()
    bench.ready()
    bench.claimed()
    result = bench.pulse(Desired.HALTED, reason="r")
    assert not of_type(result, acts.AskClaim)
    assert of_type(result, acts.Leave)


def test_without_a_database_for_too_long_workers_save_and_rest_until_it_is_back() -> None:
    bench = Bench(max_offline_seconds=60.0)
    trial = bench.training()
    bench.do(events.StoreAway(message="gone"))
    assert not of_type(bench.tick(59), acts.Send)
    result = bench.tick(1.5)
    assert _said(result, notices.WorkersResting)
    assert [act.message.verdict for act in of_type(result, acts.Send)] == [Verdict.RELEASE]
    left = bench.leave(trial, Outcome.RELEASED)
    assert of_type(left, acts.RestWorkers)
    (end,) = bench.ends(left)
    assert end.reason == "released: its machine was without a database for too long"  # type: ignore[union-attr]
    assert not of_type(bench.tick(100), acts.WakeWorkers)
    assert of_type(bench.do(events.StoreBack()), acts.WakeWorkers)
    bench.machine.workers[WORKER] = WorkerState(name="cpu:0")
    assert of_type(bench.ready(), acts.AskClaim), "and work goes on"


def test_a_paused_study_stays_paused_when_the_database_is_back_after_a_long_time() -> None:
    bench = Bench(max_offline_seconds=60.0)
    bench.ready()
    bench.claimed()
    bench.pulse(Desired.PAUSED)
    bench.do(events.StoreAway(message="gone"))
    bench.tick(100)
    assert not of_type(bench.do(events.StoreBack()), acts.WakeWorkers)


def test_the_database_is_back_when_every_helper_has_it_again() -> None:
    bench = Bench()
    bench.do(events.StoreAway(message="gone", helper="store"))
    again = bench.do(events.StoreAway(message="gone", helper="beats"))
    assert not _said(again, notices.DatabaseLost), "said once"
    assert not _said(bench.do(events.StoreBack(helper="store")), notices.DatabaseBack)
    assert _said(bench.do(events.StoreBack(helper="beats")), notices.DatabaseBack)


def test_a_claim_answered_while_offline_is_released() -> None:
    bench = Bench(max_offline_seconds=60.0)
    bench.ready()
    bench.do(events.StoreAway(message="gone"))
    bench.tick(61)
    answer = Claimed(trials=(claimed_trial(4),), n_open=1, limit_reached=False)
    result = bench.do(events.ClaimAnswered(claimed=answer))
    assert [end.key for end in bench.ends(result)] == [AttemptKey(number=4, attempt=1)]


def test_a_refusal_is_shown_once_and_so_is_another_one() -> None:
    bench = Bench()
    assert _said(bench.do(events.StoreAway(message="gone")), notices.DatabaseLost)
    refused = events.StoreAway(message="password", helper="beats", is_refusal=True)
    (notice,) = _said(bench.do(refused), notices.DatabaseRefuses)
    assert notice.message == "password"
    bench.do(events.StoreAway(message="gone"))
    assert not _said(bench.do(refused), notices.DatabaseRefuses)
    again = events.StoreAway(message="password", is_refusal=True)
    assert not _said(bench.do(again), notices.DatabaseRefuses)
    other = events.StoreAway(message="no pg_hba.conf entry", is_refusal=True)
    assert _said(bench.do(other), notices.DatabaseRefuses)
    bench.do(events.StoreBack())
    assert _said(bench.do(events.StoreBack(helper="beats")), notices.DatabaseBack)
    assert _said(bench.do(other), notices.DatabaseRefuses)


def test_an_agent_that_is_refused_for_too_long_releases_its_trials_and_leaves() -> None:
    bench = Bench(max_offline_seconds=60.0)
    trial = bench.training()
    bench.do(events.StoreAway(message="password", is_refusal=True))
    assert not of_type(bench.tick(59), acts.Leave)
    result = bench.tick(1.5)
    assert [act.message.verdict for act in of_type(result, acts.Send)] == [Verdict.RELEASE]
    assert not of_type(result, acts.Leave), "its worker saves"
    (leave,) = of_type(bench.leave(trial, Outcome.RELEASED), acts.Leave)
    assert leave.ending.kind is EndingKind.FAILED
    assert leave.ending.error.exit_code == 4
    assert "longer than failures.max_offline (1m)" in str(leave.ending.error)
    assert "(password)" in str(leave.ending.error)


def test_a_refused_agent_ends_a_worker_that_does_not_leave() -> None:
    bench = Bench(max_offline_seconds=60.0)
    bench.training()
    bench.do(events.StoreAway(message="password", is_refusal=True))
    bench.tick(61)
    result = bench.tick(25)
    assert of_type(result, acts.KillWorker)
    assert of_type(result, acts.Leave)


def test_an_agent_that_is_let_in_again_works_on() -> None:
    bench = Bench(max_offline_seconds=60.0)
    trial = bench.training()
    bench.do(events.StoreAway(message="password", is_refusal=True))
    bench.tick(50)
    bench.do(events.StoreBack())
    bench.do(events.StoreAway(message="gone"))
    assert not of_type(bench.tick(50), acts.Leave)
    bench.tick(20)
    assert not of_type(bench.leave(trial, Outcome.RELEASED), acts.Leave), (
        "away, not refused: it rests"
    )
