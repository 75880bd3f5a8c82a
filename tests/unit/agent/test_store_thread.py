"""The store thread over a scripted store: order, repetition, giving up."""

import queue
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tuner.agent import acts, events
from tuner.agent.threads.store import StoreThread
from tuner.agent.threads.suggester import DrawSource
from tuner.errors import DatabaseAway, StudyGone
from tuner.study.checkpoint import FOLDER_MARK, Checkpoint
from tuner.study.feed import Changes, Seen
from tuner.study.lease import Batch, Claimed
from tuner.study.suggestion import Suggestion
from tuner.study.trial import AttemptKey

KEY = AttemptKey(number=3, attempt=2)


class ScriptedStore:
    """Answers from a script: an exception is raised, anything else returned."""

    def __init__(self, **script: list[Any]) -> None:
        self.script = script
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*_: object) -> Any:
            self.calls.append(name)
            answers = self.script.get(name)
            answer = answers.pop(0) if answers else DEFAULTS[name]
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call


DEFAULTS: dict[str, Any] = {
    "claim": Claimed(trials=(), n_open=0, limit_reached=True),
    "report": frozenset(),
    "end": frozenset(),
    "changes": Changes(trials=(), rung_values=(), seen=Seen(snapshot="1:1:")),
    "load_checkpoint": None,
}


class FixedSampler:
    def suggest(self, draw: int) -> Suggestion:
        return Suggestion(params={"x": draw})

    def n_draws(self) -> int | None:
        return None


class CountingSource(DrawSource):
    n_waits = 0

    def wait(self, n) -> None:
        self.n_waits += 1


class Running:
    """A thread on a scripted store and its inbox."""

    def __init__(self, store: ScriptedStore, spool: Path) -> None:
        self.inbox: queue.SimpleQueue[events.Event] = queue.SimpleQueue()
        self.source = CountingSource(FixedSampler())
        self.thread = StoreThread(store, self.source, lambda n, p: p, self.inbox, spool)  # type: ignore[arg-type]

    def answers(self, *jobs: acts.StoreJob, n: int) -> Sequence[events.Event]:
        for job in jobs:
            self.thread.post(job)
        self.thread.start()
        return [self.inbox.get(timeout=10) for _ in range(n)]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Running]]:
    monkeypatch.setattr("tuner.agent.threads.store.FIRST_PAUSE_SECONDS", 0.001)
    started: list[Running] = []

    def start(store: ScriptedStore) -> Running:
        started.append(Running(store, tmp_path))
        return started[-1]

    yield start
    for running in started:
        running.thread.stop()
        running.thread.join(5)
        assert not running.thread.is_alive()


def test_claims_go_first_and_reports_before_the_end_of_their_trial(
    run: Callable[..., Running],
) -> None:
    store = ScriptedStore()
    run(store).answers(
        acts.AskWrite(batch=Batch()),
        acts.AskEnd(ends=()),
        acts.AskClaim(known=(), limit=1, n_new=1, silent=()),
        n=4,
    )
    assert store.calls == ["claim", "report", "end", "changes"]


def test_a_job_is_done_again_until_the_database_answers(run: Callable[..., Running]) -> None:
    store = ScriptedStore(end=[DatabaseAway("gone"), DatabaseAway("still"), frozenset({KEY})])
    away, still, back, ended, changed = run(store).answers(acts.AskEnd(ends=()), n=5)
    assert away == events.StoreAway(message="gone")
    assert still == events.StoreAway(message="still")
    assert back == events.StoreBack()
    assert ended == events.EndsWritten(ends=(), lost=frozenset({KEY}))
    assert isinstance(changed, events.Changed)
    assert store.calls == ["end", "end", "end", "changes"]


def test_an_outage_after_an_end_does_not_repeat_the_end(run: Callable[..., Running]) -> None:
    store = ScriptedStore(changes=[DatabaseAway("gone")])
    run(store).answers(acts.AskEnd(ends=()), n=4)
    assert store.calls == ["end", "changes", "changes"]


def test_a_claim_that_is_repeated_asks_the_sampler_again(run: Callable[..., Running]) -> None:
    store = ScriptedStore(claim=[DatabaseAway("gone")])
    running = run(store)
    running.answers(acts.AskClaim(known=(), limit=1, n_new=1, silent=()), n=3)
    assert running.source.n_waits == 2


def test_an_error_that_no_repetition_mends_ends_the_thread(run: Callable[..., Running]) -> None:
    error = StudyGone("deleted")
    (failed,) = run(ScriptedStore(claim=[error])).answers(
        acts.AskClaim(known=(), limit=1, n_new=1, silent=()), n=1
    )
    assert failed == events.HelperFailed(error=error)


def test_an_error_of_ours_is_told_and_not_swallowed_by_the_thread(
    run: Callable[..., Running],
) -> None:
    (failed,) = run(ScriptedStore(claim=[KeyError("bug")])).answers(
        acts.AskClaim(known=(), limit=1, n_new=1, silent=()), n=1
    )
    assert isinstance(failed, events.HelperFailed)
    assert "KeyError" in str(failed.error)


@pytest.mark.parametrize(("content", "is_folder"), [(b"abc", False), (FOLDER_MARK + b"x", True)])
def test_a_checkpoint_in_the_spool_is_a_tree_or_a_folder(
    run: Callable[..., Running], tmp_path: Path, content: bytes, is_folder: bool
) -> None:
    path = tmp_path / "resume-3-x"
    path.write_bytes(content)
    checkpoint = Checkpoint(checkpoint_id=1, step=7, sha256="", n_bytes=len(content))
    store = ScriptedStore(load_checkpoint=[(checkpoint, str(path))])
    (loaded,) = run(store).answers(acts.AskCheckpoint(key=KEY), n=1)
    assert loaded == events.CheckpointLoaded(key=KEY, path=str(path), step=7, is_folder=is_folder)


def test_a_spool_without_room_starts_the_trial_from_the_beginning(
    run: Callable[..., Running],
) -> None:
    store = ScriptedStore(load_checkpoint=[OSError(28, "No space left on device")])
    (loaded,) = run(store).answers(acts.AskCheckpoint(key=KEY), n=1)
    assert loaded == events.CheckpointLoaded(key=KEY, path=None, step=0)


def test_a_trial_without_a_usable_checkpoint_starts_anew(run: Callable[..., Running]) -> None:
    (loaded,) = run(ScriptedStore()).answers(acts.AskCheckpoint(key=KEY), n=1)
    assert loaded == events.CheckpointLoaded(key=KEY, path=None, step=0)


def test_stopping_gives_up_a_job_that_is_being_repeated(run: Callable[..., Running]) -> None:
    running = run(ScriptedStore(end=[DatabaseAway("gone")] * 10_000))
    running.answers(acts.AskEnd(ends=()), n=1)
