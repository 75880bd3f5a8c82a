"""Stores without workers: several agents of one study, on the test's own database."""

import socket
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import optuna
import psycopg2

from tuner.search.catalog import build_sampler
from tuner.search.completion import complete
from tuner.search.protocols import DrawSampler
from tuner.search.samplers.random import RandomSampler
from tuner.space import to_distributions
from tuner.storage.connections.connection import Database
from tuner.storage.objects.store import ObjectStore
from tuner.storage.work.join import join_study
from tuner.storage.work.store import PostgresStore
from tuner.study.agents import AgentBeat, AgentIdentity, Telemetry
from tuner.study.failure import Failure, FailureClass
from tuner.study.lease import Claimed, ClaimedTrial, Finish
from tuner.study.report import Report
from tuner.study.suggestion import Suggestion
from tuner.study.trial import AttemptKey, Direction, Params, TrialState
from tuner.study_file.data.sources import SklearnData
from tuner.study_file.kinds.trainer import TrainerObjective
from tuner.study_file.model import Algorithm, Budget, Failures, StudySpec
from tuner.study_file.params.space import Choice, FloatRange, IntRange

Rows = list[tuple[Any, ...]]
Suggest = Callable[[Sequence[int]], Sequence[Suggestion]]

SEARCH_SPACE: Mapping[str, FloatRange | IntRange | Choice] = {
    "learning_rate": FloatRange(low=1e-4, high=1e-1, log=True),
    "width": IntRange(low=16, high=128, step=16),
    "batch_size": Choice(choices=(16, 32, 64)),
    "dropout": FloatRange(low=0.0, high=0.5, step=0.1),
    "n_layers": IntRange(low=1, high=4),
    "activation": Choice(choices=("relu", "tanh", True, None)),
}
PARAMS: Params = {
    "learning_rate": 0.01,
    "width": 32,
    "batch_size": 64,
    "dropout": 0.3,
    "n_layers": 2,
    "activation": "tanh",
}
TELEMETRY = Telemetry(seconds_lived=1.5, device_seconds_busy=0.5)


def make_spec(*, trials: int = 10, name: str = "searched", **changes: Any) -> StudySpec:
    """A valid spec; `changes` replace its fields."""
    fields: dict[str, Any] = {
        "name": name,
        "objective": TrainerObjective(data=SklearnData(sklearn="digits"), model="mlp"),
        "metric": "val_loss",
        "direction": Direction.MINIMIZE,
        "params": {"epochs": 9},
        "search_space": SEARCH_SPACE,
        "sampler": Algorithm(name="random"),
        "pruner": Algorithm(name="none"),
        "budget": Budget(trials=trials),
        "seed": 7,
        "failures": Failures(lease_seconds=3.0),
    }
    return StudySpec(**{**fields, **changes})


def connect(database: Database) -> Any:
    """A plain connection outside the product, with short lock waits."""
    url = database.engine.url
    assert url.query.get("host"), url
    return psycopg2.connect(
        host=url.query["host"], user=url.username, dbname=url.database, options="-c timezone=UTC"
    )


class StoredStudy:
    """One study and the agents that a test lets work on it."""

    def __init__(self, database: Database, spec: StudySpec) -> None:
        self.database = database
        self.spec = spec
        self.distributions = to_distributions(spec.search_space)
        self._sampler: DrawSampler = RandomSampler(seed=spec.seed, distributions=self.distributions)
        if spec.sampler.name == "grid":
            sampler = build_sampler(spec)
            assert isinstance(sampler, DrawSampler)
            self._sampler = sampler
        n_draws = self._sampler.n_draws()
        self.study_id = join_study(database, spec, "fingerprint", n_draws).study_id
        self._stores: list[PostgresStore] = []

    def agent(self, boot: str | None = None, objects: ObjectStore | None = None) -> "StoreAgent":
        """Another agent, on a machine of its own unless `boot` is given."""
        identity = AgentIdentity(
            agent_id=uuid.uuid4(),
            host=socket.gethostname(),
            boot=boot or str(uuid.uuid4()),
            pid=4711,
            devices=("cpu:0",),
        )
        store = PostgresStore(self.database, self.study_id, self.spec, identity, objects=objects)
        self._stores.append(store)
        return StoreAgent(self, store, identity)

    def suggest(self, draws: Sequence[int]) -> list[Suggestion]:
        """Random search, or the spec's grid."""
        return [self._sampler.suggest(draw) for draw in draws]

    def complete(self, number: int, fixed: Params) -> Params:
        """As the product does it."""
        return complete(self.spec.seed, number, fixed, self.distributions)

    def query(self, statement: str, *params: object) -> Rows:
        """Rows of a statement, committed."""
        connection = connect(self.database)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(statement, params)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    @contextmanager
    def held_open(self, statement: str, *params: object) -> Iterator[Any]:
        """A transaction in another session that has run a statement; it commits at the end."""
        connection = connect(self.database)
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement, params)
            yield connection
            connection.commit()
        finally:
            connection.close()

    def optuna(self) -> optuna.Study:
        """The study as a stock client has it."""
        return load_stock(self.database, self.spec.name)

    def lease(self, number: int, columns: str) -> tuple[Any, ...]:
        """Columns of a trial's lease."""
        (row,) = self.query(f"select {columns} from tuner.lease where number = %s", number)
        return row

    def states(self) -> list[str]:
        """Optuna's states by number."""
        return [s for (s,) in self.query("select state::text from trials order by number")]

    def values(self, number: int) -> dict[int, float | None]:
        """The intermediate values of a trial."""
        rows = self.query(
            "select step, intermediate_value from trial_intermediate_values"
            " join trials using (trial_id) where number = %s",
            number,
        )
        return dict(rows)

    def attributes(self, number: int) -> dict[str, Any]:
        """The user attributes as Optuna reads them."""
        return self.optuna().get_trials()[number].user_attrs

    def close(self) -> None:
        """Close every store."""
        for store in self._stores:
            store.close()


def load_stock(database: Database, name: str) -> optuna.Study:
    """A study by Optuna's own storage; dispose of it with `forget`."""
    url = database.engine.url.render_as_string(hide_password=False)
    storage = optuna.storages.RDBStorage(url, skip_compatibility_check=True)
    _opened.append(storage)
    return optuna.load_study(study_name=name, storage=storage)


_opened: list[optuna.storages.RDBStorage] = []


def close_stock() -> None:
    """Close the connections of all stock clients."""
    while _opened:
        storage = _opened.pop()
        storage.remove_session()
        storage.engine.dispose()


class StoreAgent:
    """One agent's store, with what a test need not spell out filled in."""

    def __init__(self, study: StoredStudy, store: PostgresStore, identity: AgentIdentity) -> None:
        self.study = study
        self.store = store
        self.identity = identity
        self.id = identity.agent_id

    def ask(
        self,
        limit: int = 1,
        known: Sequence[AttemptKey] = (),
        silent: Sequence[AgentBeat] = (),
        suggest: Suggest | None = None,
    ) -> Claimed:
        """A claim and everything its answer says."""
        return self.store.claim(
            known, limit, silent, suggest or self.study.suggest, self.study.complete
        )

    def claim(self, limit: int = 1, **more: Any) -> list[ClaimedTrial]:
        """The trials of a claim."""
        return list(self.ask(limit, **more).trials)

    def claim_one(self, **more: Any) -> ClaimedTrial:
        """The one trial of a claim."""
        (trial,) = self.claim(1, **more)
        return trial

    def beat(self) -> list[AgentBeat]:
        """The others, as the answer to a beat names them."""
        return list(self.store.beat(TELEMETRY).others)

    def sees(self, other: "StoreAgent") -> AgentBeat:
        """The last beat of another agent that holds trials."""
        (seen,) = [beat for beat in self.beat() if beat.agent_id == other.id]
        return seen

    def finish(
        self,
        trial: ClaimedTrial,
        state: TrialState = TrialState.COMPLETE,
        value: float | None = 0.5,
        **more: Any,
    ) -> frozenset[AttemptKey]:
        """End a trial; returns it if it was no longer ours."""
        given = value if state is not TrialState.FAIL else None
        return self.store.end([Finish(key=trial.key, state=state, value=given, **more)])


def report(trial: ClaimedTrial | AttemptKey, step: int, value: float, **metrics: float) -> Report:
    """One report of the objective."""
    key = trial if isinstance(trial, AttemptKey) else trial.key
    return Report(key=key, step=step, values={"val_loss": value, **metrics})


def raised(message: str = "ValueError: no such layer") -> Failure:
    """An exception of the objective."""
    return Failure(
        cause=FailureClass.EXCEPTION,
        message=message,
        traceback="Traceback (most recent call last): ...",
        log_tail="epoch 1\nepoch 2",
    )
