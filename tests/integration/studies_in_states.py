"""Studies in every state, built with the storage alone."""

import json
from collections.abc import Callable, Mapping

from tests.integration.conftest import NewStudy
from tests.integration.stores import StoreAgent, StoredStudy, raised, report
from tuner.export.linked_study import ConfirmPlan, plan_linked_study
from tuner.search.catalog import build_sampler
from tuner.storage.control.commands import Control
from tuner.study.agents import Telemetry
from tuner.study.lease import Batch, ClaimedTrial, Release
from tuner.study.trial import TrialState
from tuner.study_file.kinds.function import FunctionObjective
from tuner.study_file.model import Algorithm, Budget, Failures
from tuner.study_file.params.space import IntRange

WHO = "me@box"


def _control(study: StoredStudy) -> Control:
    return Control(study.database, study.study_id, study.spec)


def _train(agent: StoreAgent, trial: ClaimedTrial, n_steps: int) -> None:
    steps = range(1, n_steps + 1)
    agent.store.report(Batch(reports=[report(trial, step, 1 / step) for step in steps]))


def _release(agent: StoreAgent, *trials: ClaimedTrial) -> None:
    agent.store.end([Release(key=t.key, reason="released", seconds=1.5) for t in trials])


def _complete(agent: StoreAgent, value: float = 0.5, n_steps: int = 9) -> None:
    trial = agent.claim_one(known=[])
    _train(agent, trial, n_steps)
    agent.finish(trial, value=value, last_step=n_steps, seconds=2.0, device="cpu:0")


def _empty(new_study: NewStudy) -> StoredStudy:
    return new_study(trials=4)


def _running(new_study: NewStudy) -> StoredStudy:
    study = new_study(trials=4)
    agent = study.agent()
    first, _ = agent.claim(2)
    _train(agent, first, 3)
    devices = [{"device": "cpu:0", "trials": [0, 1], "seconds": 5.0}]
    screen = json.dumps({"state": "working", "devices": devices, "alerts": ["disk full"]})
    agent.store.beat(Telemetry(seconds_lived=9.0, device_seconds_busy=5.0, screen=screen))
    return study


def _released(new_study: NewStudy) -> StoredStudy:
    study = new_study(trials=4)
    agent = study.agent()
    first, second = agent.claim(2)
    _train(agent, first, 3)
    _release(agent, first, second)
    return study


def _continued(new_study: NewStudy) -> StoredStudy:
    """A trial that a second attempt has completed, and one that a second attempt trains."""
    study = new_study(trials=4)
    agent = study.agent()
    trials = agent.claim(2)
    for trial in trials:
        _train(agent, trial, 2)
    _release(agent, *trials)
    study.query("update trials set datetime_start = datetime_start - interval '1 hour'")
    again, _ = agent.claim(2)
    _train(agent, again, 5)
    agent.finish(again, last_step=5)
    return study


def _half_finished(new_study: NewStudy) -> StoredStudy:
    """Trials in every state, another program's included."""
    study = new_study(trials=12)
    agent, silent = study.agent(), study.agent()
    _complete(agent, 0.25)
    _complete(agent, 0.125)
    pruned = agent.claim_one()
    _train(agent, pruned, 2)
    agent.finish(pruned, TrialState.PRUNED, value=0.9, last_step=2, reason="rung 2")
    failed = agent.claim_one()
    agent.finish(failed, TrialState.FAIL, failure=raised(), reason="ValueError", last_step=None)
    running, free = agent.claim(2)
    _train(agent, running, 4)
    _train(agent, free, 3)
    _release(agent, free)
    silent.claim_one(known=[])
    study.optuna().ask()
    study.optuna().enqueue_trial({"n_layers": 2})
    _control(study).retry([failed.key.number])
    study.query(
        "update tuner.agent set seen_at = now() - interval '1 hour' where agent_id = %s", silent.id
    )
    return study


def _paused(new_study: NewStudy) -> StoredStudy:
    study = _running(new_study)
    _control(study).pause(WHO, "later")
    return study


def _stopping(new_study: NewStudy) -> StoredStudy:
    study = _running(new_study)
    _control(study).stop(WHO)
    return study


def _stopped(new_study: NewStudy) -> StoredStudy:
    study = _released(new_study)
    _control(study).stop(WHO, "enough")
    return study


def _halted(new_study: NewStudy) -> StoredStudy:
    study = new_study(trials=9, failures=Failures(lease_seconds=3.0, stop_after=2))
    agent = study.agent()
    for trial in agent.claim(2):
        agent.finish(trial, TrialState.FAIL, failure=raised(), reason="ValueError", seconds=1.0)
    return study


def _finished(new_study: NewStudy, **budget: float) -> StoredStudy:
    study = new_study(budget=Budget(**budget))  # type: ignore[arg-type]
    agent = study.agent()
    for value in (0.5, 0.25):
        _complete(agent, value)
    busy = Telemetry(seconds_lived=30.0, device_seconds_busy=7200.0)
    if "time_seconds" in budget:
        study.query("update tuner.clock set seconds = 90.0")
    agent.store.beat(busy)
    return study


def _finished_grid(new_study: NewStudy) -> StoredStudy:
    study = new_study(
        budget=Budget(),
        sampler=Algorithm(name="grid"),
        search_space={"n_layers": IntRange(low=1, high=2)},
    )
    agent = study.agent()
    for value in (0.5, 0.25):
        _complete(agent, value)
    return study


def _confirmed(new_study: NewStudy) -> StoredStudy:
    study = new_study(trials=3)
    agent = study.agent()
    for value in (0.3, 0.1, 0.2):
        _complete(agent, value)
    spec, _ = plan_linked_study(study.database, study.spec.name, ConfirmPlan(n_top=2, n_seeds=2))
    changes = {name: getattr(spec, name) for name in type(spec).model_fields}
    linked = new_study(**changes)
    linked._sampler = build_sampler(spec)  # type: ignore[assignment]
    values = {str(p): n for n, p in zip((0.4, 0.2), spec.confirms.params, strict=True)}  # type: ignore[union-attr]
    helper = linked.agent()
    for trial in helper.claim(4):
        helper.finish(trial, value=values[str(dict(trial.params))])
    return study


def _without_epochs(new_study: NewStudy) -> StoredStudy:
    """A function whose number of steps it alone knows."""
    objective = FunctionObjective(function="train.py:train")
    study = new_study(objective=objective, params={}, budget=Budget(trials=4, epochs=100))
    agent = study.agent()
    _complete(agent)
    trial = agent.claim_one()
    _train(agent, trial, 3)
    _release(agent, trial)
    return study


STUDIES: Mapping[str, Callable[[NewStudy], StoredStudy]] = {
    "empty": _empty,
    "running": _running,
    "released": _released,
    "continued": _continued,
    "half-finished": _half_finished,
    "paused": _paused,
    "stopping": _stopping,
    "stopped": _stopped,
    "halted": _halted,
    "finished by trials": lambda new: _finished(new, trials=2),
    "finished by steps": lambda new: _finished(new, epochs=18),
    "finished by time": lambda new: _finished(new, time_seconds=60.0),
    "finished by device time": lambda new: _finished(new, gpu_seconds=3600.0),
    "finished by its target": lambda new: _finished(new, trials=9, target=0.3),
    "finished grid": _finished_grid,
    "confirmed": _confirmed,
    "function without epochs": _without_epochs,
}
