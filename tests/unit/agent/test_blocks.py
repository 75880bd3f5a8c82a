"""Drained devices: their trials are released, their workers end, and none begin there."""

import json
from datetime import UTC, datetime

from tests.unit.agent.machines import WORKER, Bench, claimed_trial, of_type
from tuner.agent import acts, notices
from tuner.agent.rules.control import KILL_BEFORE_SECONDS
from tuner.agent.screen import render_screen
from tuner.agent.state import Phase, WorkerState
from tuner.messages import Left, Stop
from tuner.study.activity import parse_activity
from tuner.study.agents import Desired
from tuner.study.ending import EndingKind
from tuner.study.fleet import Drain
from tuner.study.lease import Release
from tuner.study.verdict import Outcome, Verdict

WHY = "drained by anna@box: service"


def drain(device: str | None = None) -> Drain:
    return Drain(
        host="box",
        device=device,
        by="anna@box",
        role="tuner",
        at=datetime(2026, 12, 1, tzinfo=UTC),
        reason="service",
    )


def a_bench(n_workers: int = 2) -> Bench:
    bench = Bench(n_workers=n_workers)
    bench.machine.blocks.places = tuple(f"cpu:{index}" for index in range(n_workers))
    return bench


def both_training(bench: Bench) -> None:
    bench.ready(WORKER)
    bench.ready(WORKER + 1)
    bench.claimed(claimed_trial(0), claimed_trial(1))
    assert {lane.phase for lane in bench.machine.lanes.values()} == {Phase.TRAINING}


def worker_of(bench: Bench, number: int) -> int:
    (lane,) = (lane for lane in bench.machine.lanes.values() if lane.key.number == number)
    assert lane.worker is not None
    return lane.worker


def test_a_drained_device_releases_its_trial_and_the_others_continue() -> None:
    bench = a_bench()
    both_training(bench)
    worker = worker_of(bench, 1)
    place = bench.machine.workers[worker].name
    result = bench.pulse(drains=(drain(place),))
    assert [(a.worker, a.message) for a in of_type(result, acts.Send)] == [
        (worker, Stop(number=1, attempt=1, verdict=Verdict.RELEASE))
    ]
    said = [act.notice for act in of_type(result, acts.Say)]
    assert notices.PlacesBlocked(places=(place,), reason=WHY) in said
    assert not of_type(bench.pulse(drains=(drain(place),)), acts.Send), "it was asked before"
    left = bench.say(_left(1), worker=worker)
    assert [act.places for act in of_type(left, acts.RestPlaces)] == [{place}]
    (end,) = bench.ends(left)
    assert isinstance(end, Release)
    assert (end.key.number, end.reason, end.failure) == (1, f"released: {WHY}", None)
    assert [w.name for w in bench.machine.workers.values()] != [place]
    assert not of_type(bench.tick(10), acts.RestPlaces), "once"


def _left(number: int) -> Left:
    return Left(number=number, attempt=1, how=Outcome.RELEASED)


def test_a_trial_that_does_not_leave_within_the_grace_is_cut() -> None:
    bench = a_bench(1)
    trial = bench.training()
    bench.pulse(drains=(drain(),))
    assert not of_type(bench.tick(25.0 - KILL_BEFORE_SECONDS - 0.1), acts.KillWorker)
    result = bench.tick(0.2)
    assert [act.worker for act in of_type(result, acts.KillWorker)] == [WORKER]
    (end,) = bench.ends(result)
    assert (end.key, end.reason) == (trial.key, f"released: {WHY} without its last steps")


def test_a_drained_machine_claims_no_trial_and_releases_what_a_claim_still_brings() -> None:
    bench = a_bench(1)
    bench.ready()
    bench.pulse(drains=(drain(),))
    (end,) = bench.ends(bench.claimed(claimed_trial(3)))
    assert (end.key.number, end.reason) == (3, f"released: {WHY}")
    (look,) = of_type(bench.stored(end), acts.AskClaim)
    assert (look.limit, look.n_new) == (0, 0), "to learn when the study has ended"
    bench.claimed(n_open=1, limit=False)
    assert not of_type(bench.tick(bench.machine.book.look_seconds - 0.1), acts.AskClaim)
    assert of_type(bench.tick(0.2), acts.AskClaim)


def test_a_drained_machine_leaves_when_the_study_has_ended() -> None:
    bench = a_bench(1)
    bench.ready()
    bench.pulse(drains=(drain(),))
    bench.claimed(n_open=1, limit=True)
    bench.tick(10)
    (leave,) = of_type(bench.claimed(n_open=0, limit=True), acts.Leave)
    assert leave.ending.kind is EndingKind.FINISHED


def test_a_device_works_again_after_the_drain() -> None:
    bench = a_bench(1)
    bench.ready()
    bench.pulse(drains=(drain(),))
    assert bench.machine.workers == {}
    assert parse_activity(_screen(bench)).state == "drained"
    assert parse_activity(_screen(bench)).blocked == {"cpu:0": WHY}
    result = bench.pulse()
    assert [act.places for act in of_type(result, acts.WakePlaces)] == [{"cpu:0"}]
    assert notices.PlacesFreed(places=("cpu:0",)) in [a.notice for a in of_type(result, acts.Say)]
    bench.machine.workers[WORKER] = WorkerState(name="cpu:0")
    assert of_type(bench.ready(), acts.AskClaim) or bench.machine.claims.is_claiming


def test_a_drain_during_a_pause_outlasts_it() -> None:
    bench = a_bench(1)
    bench.ready()
    bench.pulse(Desired.PAUSED)
    bench.pulse(Desired.PAUSED, drains=(drain(),))
    assert of_type(bench.pulse(drains=(drain(),)), acts.WakeWorkers), "the pool skips its place"
    assert bench.machine.blocks.resting == {"cpu:0"}
    assert of_type(bench.pulse(), acts.WakePlaces)


def test_a_worker_that_dies_on_a_drained_device_is_not_replaced() -> None:
    bench = a_bench(1)
    bench.training()
    bench.pulse(drains=(drain(),))
    result = bench.gone(-9)
    assert not of_type(result, acts.ReplaceWorker)
    assert of_type(result, acts.RestPlaces)


def _screen(bench: Bench) -> object:
    return json.loads(render_screen(bench.machine, bench.now))


def a_gpu() -> Bench:
    """Before its first heartbeat: the worker of its GPU rests."""
    bench = Bench()
    bench.machine.workers.clear()
    bench.machine.blocks.places = ("gpu:0",)
    bench.machine.blocks.reasons = {"gpu:0": ""}
    bench.machine.blocks.resting = {"gpu:0"}
    return bench


def test_the_worker_of_a_gpu_starts_once_the_gpu_is_taken() -> None:
    bench = a_gpu()
    result = bench.pulse()
    assert [act.places for act in of_type(result, acts.WakePlaces)] == [{"gpu:0"}]
    assert not of_type(result, acts.Say), "nobody had to wait"


def test_a_gpu_that_another_agent_uses_is_waited_for_with_the_reason() -> None:
    bench = a_gpu()
    why = "in use by an agent of study 'other' (box, pid 7)"
    result = bench.pulse(unavailable={"gpu:0": why})
    assert [act.notice for act in of_type(result, acts.Say)] == [
        notices.PlacesBlocked(places=("gpu:0",), reason=why)
    ]
    assert not of_type(bench.pulse(unavailable={"gpu:0": why}), acts.Say), "once"
    assert parse_activity(_screen(bench)).state == "waiting"
    assert bench.machine.given_up == frozenset(), "it asks again with each heartbeat"
    result = bench.pulse()
    assert of_type(result, acts.WakePlaces)
    assert notices.PlacesFreed(places=("gpu:0",)) in [a.notice for a in of_type(result, acts.Say)]


def test_a_gpu_is_given_up_during_a_drain_or_a_pause_and_taken_again_before_work() -> None:
    bench = a_gpu()
    bench.pulse()
    bench.machine.workers[WORKER] = WorkerState(name="gpu:0")
    bench.pulse(drains=(drain(),))
    assert bench.machine.given_up == {"gpu:0"}
    bench.pulse(unavailable={"gpu:0": ""})
    assert bench.machine.given_up == frozenset()
    bench.pulse()
    bench.machine.workers[WORKER] = WorkerState(name="gpu:0")
    bench.pulse(Desired.PAUSED)
    assert bench.machine.given_up == {"gpu:0"}
    result = bench.pulse(unavailable={"gpu:0": ""})
    kinds = [type(act) for act in result]
    assert kinds.index(acts.RestPlaces) < kinds.index(acts.WakeWorkers), "it is not its own yet"
    assert of_type(bench.pulse(), acts.WakePlaces)
