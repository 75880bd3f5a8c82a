"""The protocol's state machine: real stores, real SQL, compared with the model after each step."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

import optuna
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from psycopg2.extensions import connection as RawConnection
from sqlalchemy.engine import URL

from tests.integration.protocol_model import Model, Public
from tests.integration.stores import StoreAgent, StoredStudy, make_spec, report
from tuner.errors import UsageError
from tuner.storage.connections.connection import Database, open_database_url
from tuner.storage.control.commands import Control
from tuner.study.agents import AgentBeat
from tuner.study.checkpoint import SavedFile
from tuner.study.control import Amount, Extension
from tuner.study.lease import Batch, ClaimedTrial, Finish, Release
from tuner.study.trial import AttemptKey, TrialState
from tuner.study_file.model import Failures
from tuner.study_file.params.space import IntRange

CONTENT = b"training state"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
ENDS = {"complete", "pruned", "fail", "ended_elsewhere", "quarantined"}
KINDS = {*ENDS, "claimed", "taken_over", "released", "pause", "resume", "stop", "extend"}
LOOK = """
select json_build_object(
  'study', (select json_build_array(limit_trials, n_claimed, next_draw, desired)
            from tuner.study where study_id = %(study_id)s),
  'trials', coalesce((select json_agg(json_build_array(t.number, t.state,
                (select value from trial_values v where v.trial_id = t.trial_id),
                (select coalesce(json_object_agg(step, intermediate_value), '{}')
                 from trial_intermediate_values v where v.trial_id = t.trial_id)) order by number)
             from trials t where study_id = %(study_id)s), '[]'),
  'leases', coalesce((select json_agg(json_build_array(number, state, attempt, owner, losses, draw,
                (select array_agg(step order by checkpoint_id) from tuner.checkpoint c
                 where c.study_id = l.study_id and c.number = l.number)) order by number)
             from tuner.lease l where study_id = %(study_id)s), '[]'),
  'events', coalesce((select json_agg(json_build_array(event_id, number, attempt, agent_id, kind)
                                      order by event_id)
             from tuner.event where study_id = %(study_id)s and event_id > %(seen)s), '[]'))
"""


@dataclass(frozen=True, kw_only=True)
class PooledDatabase(Database):
    """Connections outlive the studies: an example costs milliseconds."""

    free: list[RawConnection] = field(default_factory=list)
    lent: list[RawConnection] = field(default_factory=list)

    def open_raw(self) -> RawConnection:
        raw = self.free.pop() if self.free else super().open_raw()
        self.lent.append(raw)
        return raw

    def give_back(self) -> None:
        """The stores that had them are forgotten."""
        self.free.extend(raw for raw in self.lent if not raw.closed)
        self.lent.clear()


@dataclass(kw_only=True)
class World:
    """What all examples share."""

    database: PooledDatabase
    look: RawConnection
    storage: optuna.storages.RDBStorage
    file: Path  # a checkpoint's content
    names: Iterator[int] = field(default_factory=count)


@contextmanager
def open_world(url: URL) -> Iterator[World]:
    """One database for all examples, a study each."""
    engine = open_database_url(url).engine
    database = PooledDatabase(engine=engine)
    text = url.render_as_string(hide_password=False)
    storage = optuna.storages.RDBStorage(text, skip_compatibility_check=True)
    with tempfile.NamedTemporaryFile() as file:
        file.write(CONTENT)
        file.flush()
        look = Database.open_raw(database)
        yield World(database=database, look=look, storage=storage, file=Path(file.name))
        for raw in (look, *database.free, *database.lent):
            raw.close()
        storage.remove_session()
        storage.engine.dispose()
        engine.dispose()


class Actor:
    """An agent as the product has it: what it believes to hold, and whom it saw when."""

    def __init__(self, agent: StoreAgent) -> None:
        self.agent = agent
        self.id = agent.id
        self.known: dict[AttemptKey, dict[int, float]] = {}  # with what it reported
        self.seen: dict[UUID, AgentBeat] = {}


class Protocol(RuleBasedStateMachine):
    """Any order of what agents, people, Optuna clients and a bad network do."""

    world: ClassVar[World]

    @initialize(limit=st.integers(1, 9), n_agents=st.integers(2, 3))
    def start(self, limit: int, n_agents: int) -> None:
        world = self.world
        spec = make_spec(
            trials=limit,
            name=f"machine-{os.getpid()}-{next(world.names)}",
            search_space={"n_layers": IntRange(low=1, high=4)},
            # No agent counts as silent by the server's clock: beats alone decide.
            failures=Failures(lease_seconds=3600.0),
        )
        self.study = StoredStudy(world.database, spec)
        self.stock = optuna.load_study(study_name=spec.name, storage=world.storage)
        self.control = Control(world.database, self.study.study_id, spec)
        self.model = Model(limit)
        self.actors: list[Actor] = []
        self.crashed: list[Actor] = []
        self.ordinals: dict[UUID, int] = {}  # names that are the same in every run
        self.given: set[AttemptKey] = set()  # all attempts that ever were
        self.finals: dict[int, tuple[Any, ...]] = {}
        self.ended: set[int] = set()
        self.last_event = 0
        for _ in range(n_agents):
            self._join()

    def _join(self) -> None:
        self.actors.append(Actor(self.study.agent()))
        self.ordinals[self.actors[-1].id] = len(self.ordinals)

    # -- agents ----------------------------------------------------------------------------------

    def _actor(self, data: st.DataObject) -> Actor:
        return self.actors[data.draw(st.integers(0, len(self.actors) - 1), label="agent")]

    @rule(data=st.data())
    def beat(self, data: st.DataObject) -> None:
        """Without looking at the others: what was seen of them grows old."""
        actor = self._actor(data)
        actor.agent.beat()
        self.model.beats[actor.id] = self.model.beats.get(actor.id, 0) + 1

    @rule(data=st.data())
    def observe(self, data: st.DataObject) -> None:
        actor = self._actor(data)
        others = actor.agent.beat()
        self.model.beats[actor.id] = self.model.beats.get(actor.id, 0) + 1
        owners = {lease.owner for lease in self.model.leases.values() if lease.state == "held"}
        assert {other.agent_id for other in others} == owners - {actor.id}
        assert all(self.model.beats.get(o.agent_id, 0) == o.beat for o in others)
        actor.seen.update({other.agent_id: other for other in others})

    @rule(
        data=st.data(),
        limit=st.integers(1, 4),
        is_answer_lost=st.sampled_from([False, False, True]),
    )
    def claim(self, data: st.DataObject, limit: int, is_answer_lost: bool) -> None:
        """With any of the agents that it ever saw as the silent ones: the beat must decide."""
        actor = self._actor(data)
        spared = data.draw(st.integers(0, 4), label="not silent")
        beats = [beat for other, beat in actor.seen.items() if self.ordinals[other] != spared]
        claimed = actor.agent.ask(limit, known=list(actor.known), silent=beats)
        expected = self.model.claim(
            actor.id, actor.known, limit, {beat.agent_id: beat.beat for beat in beats}
        )
        taken = sorted((t.key.number, t.key.attempt, t.origin.value) for t in claimed.trials)
        assert taken == expected
        for trial in claimed.trials:
            self._check_given(trial)
            self.given.add(trial.key)
            if not is_answer_lost:
                actor.known[trial.key] = {}
        if not is_answer_lost and len(taken) < limit:
            self._knows_all_that_it_holds(actor)

    def _check_given(self, trial: ClaimedTrial) -> None:
        lease = self.model.leases[trial.key.number]
        step = trial.checkpoint.step if trial.checkpoint else None
        assert step == (lease.checkpoints[-1] if lease.checkpoints else None)
        reports = self.model.trials[trial.key.number].reports
        assert trial.history == {s: v for s, v in reports.items() if step and s <= step}
        assert (trial.draw, trial.losses) == (lease.draw, lease.losses)
        assert 1 <= trial.params["n_layers"] <= 4  # type: ignore[operator]

    def _knows_all_that_it_holds(self, actor: Actor) -> None:
        """Whose claim was answered beats for no trial that it does not know of."""
        for number, lease in self.model.leases.items():
            if (lease.state, lease.owner) == ("held", actor.id):
                assert AttemptKey(number=number, attempt=lease.attempt) in actor.known

    def _some_attempt(self, data: st.DataObject) -> tuple[Actor, AttemptKey]:
        """Mostly what the agent believes to hold, lost or not; sometimes any attempt at all."""
        actor = self._actor(data)
        mine = sorted(actor.known, key=str)
        is_own = data.draw(st.integers(0, 3), label="own") > 0 and mine
        return actor, data.draw(st.sampled_from(mine if is_own else sorted(self.given, key=str)))

    def _told(self, actor: Actor, key: AttemptKey, lost: frozenset[AttemptKey], ok: bool) -> None:
        """The store says what was lost, exactly; the agent drops it."""
        assert lost == (frozenset() if ok else {key})
        if not ok:
            actor.known.pop(key, None)

    @precondition(lambda self: self.given)
    @rule(data=st.data(), step=st.integers(1, 5), value=st.integers(-5, 5), again=st.booleans())
    def report(self, data: st.DataObject, step: int, value: int, again: bool) -> None:
        actor, key = self._some_attempt(data)
        batch = Batch(reports=[report(key, step, value)])
        ok = self.model.report(actor.id, key, {step: value})
        for _ in range(1 + again):  # twice: the answer was lost
            lost = actor.agent.store.report(batch)
        self._told(actor, key, lost, ok)
        if key in actor.known:
            actor.known[key][step] = value

    @precondition(lambda self: self.given)
    @rule(data=st.data(), step=st.integers(1, 5), is_whole=st.sampled_from([True] * 3 + [False]))
    def save(self, data: st.DataObject, step: int, is_whole: bool) -> None:
        actor, key = self._some_attempt(data)
        saved = self._saved(key, step, is_whole)
        lost = actor.agent.store.report(Batch(checkpoints=[saved]))
        self._told(actor, key, lost, self.model.save(actor.id, key, step, is_whole=is_whole))

    def _saved(self, key: AttemptKey, step: int, is_whole: bool) -> SavedFile:
        return SavedFile(
            key=key,
            step=step,
            path=str(self.world.file),
            sha256=SHA256 if is_whole else "0" * 64,
            n_bytes=len(CONTENT),
        )

    @precondition(lambda self: self.given)
    @rule(
        data=st.data(),
        state=st.sampled_from([TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL]),
        value=st.integers(-5, 5),
        more=st.dictionaries(st.integers(1, 5), st.integers(-5, 5), max_size=2),
        again=st.booleans(),
    )
    def finish(
        self,
        data: st.DataObject,
        state: TrialState,
        value: int,
        more: dict[int, int],
        again: bool,
    ) -> None:
        """With all reports of the attempt, those that never were written among them."""
        actor, key = self._some_attempt(data)
        reports = {**actor.known.get(key, {}), **more}
        end = Finish(
            key=key,
            state=state,
            value=None if state is TrialState.FAIL else value,
            reports=[report(key, s, v) for s, v in reports.items()],
            last_step=max(reports, default=0),
        )
        ok = self.model.finish(actor.id, key, state.value, end.value, reports)
        for _ in range(1 + again):
            lost = actor.agent.store.end([end])
        self._told(actor, key, lost, ok)
        actor.known.pop(key, None)

    @precondition(lambda self: self.given)
    @rule(data=st.data(), step=st.none() | st.integers(1, 5), again=st.booleans())
    def release(self, data: st.DataObject, step: int | None, again: bool) -> None:
        """A repeated one finds the trial free, or somebody else's: it changes nothing."""
        actor, key = self._some_attempt(data)
        reports = actor.known.get(key, {})
        saved = self._saved(key, step, True) if step else None
        sent = [report(key, s, v) for s, v in reports.items()]
        end = Release(key=key, reason="released", reports=sent, checkpoint=saved)
        if saved is not None:
            self.model.save(actor.id, key, saved.step, is_whole=True)
        ok = self.model.release(actor.id, key, reports)
        self._told(actor, key, actor.agent.store.end([end]), ok)
        if again:
            actor.agent.store.end([end])
        actor.known.pop(key, None)

    @rule(
        data=st.data(),
        what=st.sampled_from(["crash", "come back", "add", "end", "enqueue", "steer"]),
    )
    def happen(self, data: st.DataObject, what: str) -> None:
        """What agents do not do themselves: one rule, so that theirs are the more frequent ones."""
        match what:
            case "crash":
                self._crash(self._actor(data))
            case "come back" if self.crashed:
                # It was only stopped: it acts on what it held.
                self.actors.append(self.crashed.pop(0))
            case "add":
                self._client_adds()
            case "end" if running := self.model.numbers(["RUNNING"]):
                leased = [n for n in running if n in self.model.leases]
                self._client_ends(data.draw(st.sampled_from(leased or running)), value=0.25)
            case "enqueue":
                self._client_enqueues(data.draw(st.integers(1, 6)))
            case "steer":
                how = ["pause", "resume", "resume", "extend", "extend", "stop"]
                self._steer(data.draw(st.sampled_from(how)))

    def _crash(self, actor: Actor) -> None:
        """Its process ends; a new one, with another name, starts on the machine."""
        self.actors.remove(actor)
        self.crashed.append(actor)
        self._join()

    def _client_adds(self) -> None:
        """`study.ask`: takes a waiting trial if there is one, else makes one; costs no budget."""
        waiting = self.model.numbers(["WAITING"])
        number = self.stock.ask().number
        if waiting:
            assert number == waiting[0]
            self.model.trials[number].state = "RUNNING"
        else:
            assert number == len(self.model.trials)
            self.model.trials.append(Public(state="RUNNING"))

    def _client_enqueues(self, n_layers: int) -> None:
        self.stock.enqueue_trial({"n_layers": n_layers})
        self.model.trials.append(Public(state="WAITING", fits=n_layers <= 4))

    def _client_ends(self, number: int, value: float) -> None:
        """Its own trial or one of ours."""
        self.stock.tell(number, value)
        trial = self.model.trials[number]
        trial.state, trial.value = "COMPLETE", value

    def _steer(self, how: str) -> None:
        match how:
            case "pause" if self.model.desired == "stopping" or self._is_ended:
                with pytest.raises(UsageError):
                    self.control.pause("me")
            case "pause":
                self.control.pause("me")
                self.model.desired = "paused"
            case "resume" if self.model.desired != "running":
                self.control.resume("me")
                self.model.desired = "running"
            case "extend":
                self.control.extend(Extension(trials=Amount(value=2, is_more=True)))
                self.model.limit += 2
            case "stop":
                is_over = self.control.stop("me").is_over
                assert is_over == (self.model.desired == "running" and self._is_ended)
                if not is_over:
                    self.model.stop()

    @property
    def _is_ended(self) -> bool:
        """Its budget is used up and every trial of ours final."""
        open_ = [lease for lease in self.model.leases.values() if lease.state != "done"]
        return self.model.n_claimed >= self.model.limit and not open_

    # -- what must hold --------------------------------------------------------------------------

    @invariant()
    def the_database_is_what_the_model_is(self) -> None:
        model = self.model
        found = self._look()
        assert found["study"] == [model.limit, model.n_claimed, model.next_draw, model.desired]
        trials = [
            (n, t.state, t.value, {str(s): v for s, v in t.reports.items()})
            for n, t in enumerate(model.trials)
        ]
        assert [tuple(row) for row in found["trials"]] == trials
        leases = [
            (n, x.state, x.attempt, x.owner and str(x.owner), x.losses, x.draw, x.checkpoints[-2:])
            for n, x in sorted(model.leases.items())
        ]
        assert [(*row[:6], row[6] or []) for row in found["leases"]] == leases
        self._counts_add_up(found["leases"])
        self._final_trials_stay(found["trials"])
        self._history_is_of_holders(found["events"])

    def _look(self) -> Any:
        with self.world.look.cursor() as cursor:
            cursor.execute(LOOK, {"study_id": self.study.study_id, "seen": self.last_event})
            ((found,),) = cursor.fetchall()
        return found

    def _counts_add_up(self, leases: list[list[Any]]) -> None:
        draws = sorted(draw for *_, draw, _ in leases if draw is not None)
        assert draws == list(range(len(draws)))
        assert len(leases) <= self.model.limit

    def _final_trials_stay(self, trials: list[list[Any]]) -> None:
        for number, state, value, _ in trials:
            if self.model.trials[number].is_final:
                assert self.finals.setdefault(number, (state, value)) == (state, value)

    def _history_is_of_holders(self, events: list[list[Any]]) -> None:
        """Every line is of who was given that attempt, or of nobody (a command); one end each."""
        for event_id, number, attempt, agent_id, kind in events:
            self.last_event = event_id
            assert kind in KINDS
            if number is None or (kind in ENDS and agent_id is None):
                continue
            if kind in ("complete", "fail", "released", "ended_elsewhere"):
                assert str(self.model.claimants[number, attempt]) == agent_id
            if kind in ENDS:
                assert number not in self.ended, "it ended twice"
                self.ended.add(number)

    def teardown(self) -> None:
        if hasattr(self, "study"):
            self.world.database.give_back()
