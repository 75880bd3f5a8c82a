"""The model's thread: one suggestion ready, each seeing all before it."""

import queue
import time
from collections.abc import Iterator, Sequence

import pytest
from optuna.distributions import FloatDistribution

from tuner.agent import events
from tuner.agent.suggester import ModelSource
from tuner.search.mirror import Mirror
from tuner.study.suggestion import Suggestion
from tuner.study.trial import Direction, Params, TrialRecord, TrialState


class CountingSampler:
    """Suggests how many trials it has seen; fails when told."""

    def __init__(self) -> None:
        self.seeds: list[int] = []
        self.fails = False

    def propose(self, mirror: Mirror, n: int, seed: int, given: Params) -> Sequence[Suggestion]:
        if self.fails:
            raise ZeroDivisionError("model")
        self.seeds.append(seed)
        return [Suggestion(params={"x": float(len(mirror.shown()))})]


@pytest.fixture
def sampler() -> CountingSampler:
    return CountingSampler()


@pytest.fixture
def source(sampler: CountingSampler) -> Iterator[ModelSource]:
    mirror = Mirror({"x": FloatDistribution(0, 100)}, Direction.MINIMIZE)
    inbox: queue.SimpleQueue[events.Event] = queue.SimpleQueue()
    source = ModelSource(sampler, mirror, study_seed=1, ordinal=0, inbox=inbox)
    source.inbox = inbox  # type: ignore[attr-defined]
    source.start()
    yield source
    source.stop()
    source.join(5)
    assert not source.is_alive()


def _running(number: int) -> TrialRecord:
    return TrialRecord(
        number=number,
        state=TrialState.RUNNING,
        params={"x": 1.0},
        value=None,
        last_step=None,
        last_value=None,
    )


def test_each_suggestion_sees_the_trial_that_took_the_one_before(source: ModelSource) -> None:
    source.learn([])
    source.wait()
    assert [s.params["x"] for s in source.suggest([0, 1])] == [0.0]
    assert source.suggest([1]) == []
    source.learn([_running(0)])
    source.wait()
    assert [s.params["x"] for s in source.suggest([1])] == [1.0]


def test_nothing_is_computed_while_one_is_ready(
    source: ModelSource, sampler: CountingSampler
) -> None:
    source.learn([])
    source.wait()
    for number in range(5):
        source.learn([_running(number)])
        while not source._news.empty():
            time.sleep(0.001)
    source.stop()
    source.join(5)
    assert len(sampler.seeds) == 1


def test_every_suggestion_has_a_seed_of_its_own(
    source: ModelSource, sampler: CountingSampler
) -> None:
    for draw in range(3):
        source.learn([])
        source.wait()
        source.suggest([draw])
    assert len(set(sampler.seeds)) == 3


def test_a_failing_sampler_ends_the_agent_with_a_sentence(
    source: ModelSource, sampler: CountingSampler
) -> None:
    sampler.fails = True
    source.learn([])
    event = source.inbox.get(timeout=5)  # type: ignore[attr-defined]
    assert isinstance(event, events.HelperFailed)
    assert str(event.error) == "the sampler failed: ZeroDivisionError: model"
