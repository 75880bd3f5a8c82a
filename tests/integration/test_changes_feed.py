"""The feed: nothing that commits late is missed, nothing final comes twice."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random

import optuna

from tests.integration.stores import PARAMS, StoreAgent, StoredStudy, report
from tuner.study.feed import Seen
from tuner.study.lease import Batch, Release
from tuner.study.report import Report
from tuner.study.trial import TrialRecord, TrialState

NewStudy = Callable[..., StoredStudy]


class Reader:
    """Follows the feed and keeps what it was told."""

    def __init__(self, agent: StoreAgent) -> None:
        self._agent = agent
        self._seen = Seen()
        self.final: Counter[int] = Counter()
        self.rungs: dict[tuple[int, int], float] = {}

    def look(self) -> list[TrialRecord]:
        changes = self._agent.store.changes(self._seen)
        self._seen = changes.seen
        self.final.update(r.number for r in changes.trials if r.state.is_final)
        self.rungs.update({(v.step, v.number): v.value for v in changes.rung_values})
        return list(changes.trials)

    @property
    def open(self) -> set[int]:
        return set(self._seen.open_numbers)


def test_a_trial_is_fed_when_it_opens_and_once_when_it_has_ended(study: StoredStudy) -> None:
    agent = study.agent()
    reader = Reader(study.agent())
    assert reader.look() == []
    trial = agent.claim_one()
    (opened,) = reader.look()
    assert (opened.number, opened.state, opened.params) == (0, TrialState.RUNNING, trial.params)
    assert reader.open == {0}
    agent.finish(trial, value=0.25)
    (ended,) = reader.look()
    assert (ended.state, ended.value, ended.diverged) == (TrialState.COMPLETE, 0.25, False)
    assert (reader.look(), reader.open, reader.final) == ([], set(), Counter({0: 1}))


def test_a_pruned_trial_says_where_it_stood(study: StoredStudy) -> None:
    agent = study.agent()
    trial = agent.claim_one()
    reports = [report(trial, 1, 0.9), report(trial, 3, 0.7)]
    agent.finish(trial, TrialState.PRUNED, 0.7, reports=reports)
    (record,) = Reader(agent).look()
    assert (record.state, record.last_step, record.last_value) == (TrialState.PRUNED, 3, 0.7)


def test_a_trial_that_ends_in_an_open_transaction_comes_later(study: StoredStudy) -> None:
    agent = study.agent()
    reader = Reader(study.agent())
    agent.claim(2)
    end = "update trials set state = 'COMPLETE' where number = 0"
    with study.held_open(end):
        reader.look()
        assert reader.open == {0, 1}
    (ended, _) = reader.look()
    assert (ended.number, ended.state) == (0, TrialState.COMPLETE)
    assert reader.final == Counter({0: 1})


def test_params_of_an_enqueued_trial_come_when_it_is_claimed(study: StoredStudy) -> None:
    reader = Reader(study.agent())
    study.optuna().enqueue_trial({"n_layers": 2})
    (waiting,) = reader.look()
    assert (waiting.state, waiting.params) == (TrialState.WAITING, {})
    study.agent().claim_one()
    (running,) = reader.look()
    assert (running.state, running.params["n_layers"]) == (TrialState.RUNNING, 2)


def test_foreign_trials_show_only_those_params_that_lie_in_the_space(study: StoredStudy) -> None:
    stock = study.optuna()
    wide = optuna.distributions.FloatDistribution(0.0, 10.0)
    stock.add_trial(
        optuna.trial.create_trial(
            params={"learning_rate": 5.0, "dropout": 0.3, "own": "x", "n_layers": 3},
            distributions={
                "learning_rate": optuna.distributions.FloatDistribution(0.01, 10, log=True),
                "dropout": wide,
                "own": optuna.distributions.CategoricalDistribution(("x", "y")),
                "n_layers": optuna.distributions.IntDistribution(1, 99),
            },
            value=0.5,
        )
    )
    stock.add_trial(optuna.trial.create_trial(state=optuna.trial.TrialState.FAIL))
    stock.add_trial(
        optuna.trial.create_trial(params=dict(PARAMS), distributions=study.distributions, value=1.0)
    )
    fed = Reader(study.agent()).look()
    assert [record.params for record in fed] == [{"dropout": 0.3, "n_layers": 3}, {}, PARAMS]
    assert [record.value for record in fed] == [0.5, None, 1.0]


def test_a_released_trial_stays_open(study: StoredStudy) -> None:
    agent = study.agent()
    trial = agent.claim_one()
    reader = Reader(agent)
    reader.look()
    agent.store.end([Release(key=trial.key, reason="released")])
    assert [record.state for record in reader.look()] == [TrialState.RUNNING]
    assert reader.open == {0}


def test_readers_miss_nothing_while_agents_and_clients_write_at_once(new_study: NewStudy) -> None:
    study = new_study(48)
    agents = [study.agent() for _ in range(4)]
    readers = [Reader(study.agent()) for _ in range(2)]
    is_over = threading.Event()
    with ThreadPoolExecutor(8) as pool:
        following = [pool.submit(_follow, reader, is_over) for reader in readers]
        work = [pool.submit(_train_all, agent, seed) for seed, agent in enumerate(agents)]
        work.append(pool.submit(_add_foreign_trials, study.optuna(), 8))
        try:
            for future in work:
                future.result()
        finally:
            is_over.set()
        for future in following:
            future.result()
    rungs = study.query("select step, number, value from tuner.rung")
    expected = {(step, number): value for step, number, value in rungs}
    assert len(expected) == 48 * 3
    for reader in readers:
        reader.look()
        assert reader.rungs == expected
        assert reader.final == Counter(range(56))
        assert reader.open == set()


def _follow(reader: Reader, is_over: threading.Event) -> None:
    while not is_over.is_set():
        reader.look()


def _add_foreign_trials(stock: optuna.Study, n: int) -> None:
    for i in range(n):
        stock.add_trial(optuna.trial.create_trial(value=float(i)))


def _train_all(agent: StoreAgent, seed: int) -> None:
    random = Random(seed)
    while trials := agent.claim(random.randint(1, 3)):
        for step in (1, 3, 9):
            reports = [
                Report(key=t.key, step=step, values={"val_loss": random.random()}, rungs=(step,))
                for t in trials
            ]
            assert agent.store.report(Batch(reports=reports)) == frozenset()
        for trial in trials:
            assert agent.finish(trial) == frozenset()
