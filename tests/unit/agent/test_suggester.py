"""The model's thread: one suggestion ready, each seeing all before it."""

import queue
import threading
import time
from collections.abc import Collection, Iterator, Sequence

import pytest
from optuna.distributions import FloatDistribution

from tuner.agent import events
from tuner.agent.threads import suggester
from tuner.agent.threads.suggester import ModelSource
from tuner.search.mirror import Mirror
from tuner.study.suggestion import Suggestion
from tuner.study.trial import Direction, TrialRecord, TrialState


class CountingSampler:
    """Suggests how many trials it has seen; fails when told."""

    reads_rungs = False

    def __init__(self) -> None:
        self.seeds: list[int] = []
        self.fails = False

    def propose(
        self,
        mirror: Mirror,
        n: int,
        seed: int,
        shared: Collection[str] = (),
    ) -> Sequence[Suggestion]:
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


def test_each_suggestion_sees_all_trials_heard_of_before_it_is_asked_for(
    source: ModelSource,
) -> None:
    for n_known in range(3):
        source.wait(1)
        assert [s.params["x"] for s in source.suggest([n_known])] == [float(n_known)]
        assert source.suggest([n_known]) == []
        source.learn([_running(n_known)])


def test_a_suggestion_that_was_not_taken_is_used_again_until_news_make_it_stale(
    source: ModelSource, sampler: CountingSampler
) -> None:
    source.wait(1)
    source.wait(1)
    assert len(sampler.seeds) == 1
    source.learn([_running(0)])
    source.wait(1)
    assert len(sampler.seeds) == 2
    assert [s.params["x"] for s in source.suggest([0])] == [1.0]


def test_news_between_the_wait_and_the_transaction_do_not_take_the_suggestion_away(
    source: ModelSource,
) -> None:
    source.wait(1)
    source.learn([_running(0)])
    while not source._jobs.empty():
        time.sleep(0.001)
    time.sleep(0.01)
    assert len(source.suggest([0])) == 1
    assert source.suggest([0]) == []


def test_a_claim_gets_no_more_than_it_asked_a_model_for(source: ModelSource) -> None:
    source.wait(1)
    source.wait(0)
    assert source.suggest(range(8)) == []
    source.wait(1)
    assert len(source.suggest(range(8))) == 1


def test_a_claim_that_failed_after_taking_one_gets_another(source: ModelSource) -> None:
    source.wait(1)
    assert source.suggest([0])
    source.wait(1)
    assert source.suggest([0])


def test_every_suggestion_has_a_seed_of_its_own(
    source: ModelSource, sampler: CountingSampler
) -> None:
    for draw in range(3):
        source.wait(1)
        source.suggest([draw])
    assert len(set(sampler.seeds)) == 3


def test_a_failing_sampler_ends_the_agent_with_a_sentence(
    source: ModelSource, sampler: CountingSampler
) -> None:
    sampler.fails = True
    threading.Thread(target=source.wait, args=(1,), daemon=True).start()
    event = source.inbox.get(timeout=5)  # type: ignore[attr-defined]
    assert isinstance(event, events.HelperFailed)
    assert str(event.error) == "the sampler failed: ZeroDivisionError: model"


def test_a_slow_model_is_not_asked_for_more_than_a_claim_can_wait_for(
    sampler: CountingSampler, source: ModelSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def slow(mirror: Mirror, n: int, *rest: object, **more: object) -> Sequence[Suggestion]:
        asked.append(n)
        time.sleep(0.3 * n)
        return [Suggestion(params={"x": 1.0})] * n

    monkeypatch.setattr(suggester, "SERVE_SECONDS", 1.0)
    monkeypatch.setattr(sampler, "propose", slow)
    for _ in range(2):
        source.wait(12)
        source.suggest(range(12))
    assert asked == [1, 3]
