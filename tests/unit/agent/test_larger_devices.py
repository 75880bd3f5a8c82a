"""A trial that ran out of memory is offered once to a device with more."""

from datetime import UTC, datetime

from tests.unit.agent.machines import WORKER, Bench, claimed_trial
from tuner.agent.state import WorkerState
from tuner.study.agents import Desired
from tuner.study.fleet import Drain
from tuner.study.lease import Finish, Release
from tuner.study.verdict import Outcome

GIB = 2**30


def a_bench(*sizes: int) -> Bench:
    bench = Bench(n_workers=0)
    places = [f"gpu:{index}" for index in range(len(sizes))]
    for index, place in enumerate(places):
        bench.machine.workers[WORKER + index] = WorkerState(name=place)
    bench.machine.blocks.places = tuple(places)
    bench.machine.memory.of_places = dict(zip(places, sizes, strict=True))
    return bench


def ran_out(bench: Bench, **about: object) -> Finish | Release:
    (end,) = bench.ends(bench.leave(bench.training(**about), Outcome.OUT_OF_MEMORY, message="full"))
    return end


def test_another_machine_with_more_memory_is_offered_the_trial() -> None:
    bench = a_bench(16 * GIB)
    bench.pulse(max_other_bytes=80 * GIB)
    end = ran_out(bench)
    assert isinstance(end, Release)
    assert end.short_of_bytes == 16 * GIB
    assert end.reason == "full; offered to a device with more than 16.0 GiB"


def test_without_more_memory_anywhere_it_fails() -> None:
    bench = a_bench(16 * GIB)
    bench.pulse(max_other_bytes=16 * GIB)
    assert isinstance(ran_out(bench), Finish)
    assert isinstance(ran_out(Bench()), Finish), "the memory is not known"


def test_it_is_offered_only_once() -> None:
    bench = a_bench(16 * GIB)
    bench.pulse(max_other_bytes=80 * GIB)
    assert isinstance(ran_out(bench, short_of_bytes=8 * GIB), Finish)


def test_a_larger_device_of_this_machine_trains_it() -> None:
    bench = a_bench(16 * GIB, 40 * GIB)
    for worker in bench.machine.workers:
        bench.ready(worker)
    bench.claimed(claimed_trial(4, short_of_bytes=16 * GIB))
    (lane,) = bench.machine.lanes.values()
    assert lane.worker == WORKER + 1


def test_it_is_tried_again_on_a_small_machine_if_no_other_took_it() -> None:
    bench = a_bench(16 * GIB)
    bench.ready()
    bench.claimed(claimed_trial(4, short_of_bytes=16 * GIB))
    (lane,) = bench.machine.lanes.values()
    assert lane.worker == WORKER


def test_a_drained_device_is_no_larger_device() -> None:
    at = datetime(2026, 12, 1, tzinfo=UTC)
    drain = Drain(host="box", device="gpu:1", by="a@b", role="r", at=at)
    bench = a_bench(16 * GIB, 40 * GIB)
    bench.pulse(Desired.RUNNING, drains=(drain,))
    assert isinstance(ran_out(bench), Finish)
