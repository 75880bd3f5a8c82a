"""The whole product as one recipe: a study file goes in, the study's end comes out.

A reader of the code starts here.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tuner.agent.devices import list_devices
from tuner.agent.identity import build_identity
from tuner.agent.loop import Agent, open_agent
from tuner.agent.machine import Rulebook
from tuner.agent.notices import StudyJoined
from tuner.agent.port import View
from tuner.agent.signals import stop_on_signals
from tuner.agent.suggester import DrawSource, ModelSource, SuggestionSource
from tuner.agent.workers import WorkerPool, clean_environment, open_workers
from tuner.errors import DatabaseAway, RunFailed
from tuner.messages import Setup
from tuner.results.summary import StudySummary, load_summary
from tuner.search.catalog import build_pruner, build_sampler
from tuner.search.completion import complete
from tuner.search.mirror import Mirror
from tuner.search.protocols import DrawSampler
from tuner.space import to_distributions
from tuner.storage.connection import Database, DatabaseUrl, render_url
from tuner.storage.home import Home, open_home, open_spool
from tuner.storage.join import JoinedStudy, is_finished, join_study
from tuner.storage.migrations import migrate
from tuner.storage.opening import open_database
from tuner.storage.store import PostgresStore
from tuner.study.ending import Ending, EndingKind
from tuner.study.seeds import derive_seed
from tuner.study.trial import Direction
from tuner.study_file.load import load_spec
from tuner.study_file.model import FunctionObjective, StudySpec, TrainerObjective


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What the command line adds to the study file."""

    storage: DatabaseUrl | None = None  # None: the embedded server
    workers: int | None = None  # CPU workers; None: one per core
    overrides: tuple[str, ...] = ()  # "budget.trials=20"


@dataclass(frozen=True, kw_only=True)
class RunOutcome:
    """How this agent's part ended, and where the study stands."""

    ending: Ending
    summary: StudySummary | None  # None: the database is away


@dataclass(frozen=True, kw_only=True)
class PreparedData:
    """Arrays on this machine's disk; of a function, only that it can be imported."""

    folder: str
    fingerprint: str
    summary: str  # "digits: 1797 rows, ...", "function train.py:train"


def run(path: Path, options: RunOptions, view: View) -> RunOutcome:
    """Create or join the study of a study file and work on it until it ends."""
    return work(load_spec(path, options.overrides), path.parent.absolute(), options, view)


def work(spec: StudySpec, folder: Path, options: RunOptions, view: View) -> RunOutcome:
    """Work on a study with this machine's devices until it ends.

    `folder` is the study file's: what a function's name is relative to.
    The slow starts run side by side: workers import torch, a child prepares the data, and the
    database comes up.
    """
    processes = spec.workers.processes
    devices = list_devices(options.workers, processes)
    home = open_home()
    with (
        open_workers(devices, processes, kind=kind_of(spec)) as pool,
        start_preparation(spec, folder, home) as preparation,
        open_database(options.storage) as database,
    ):
        migrate(database)
        data = finish_preparation(preparation)
        study = join_study(database, spec, data.fingerprint, n_draws_of(spec))
        names = tuple(worker.place.name for worker in pool.workers.values())
        view.show(
            StudyJoined(
                name=spec.name,
                is_new=study.is_new,
                n_trials=study.n_trials,
                data=data.summary,
                workers=names,
                storage=render_url(database.engine.url),
                notices=tuple(f"{n.path}: {n.given} (stored: {n.stored})" for n in study.notices),
            )
        )
        if is_finished(database, study.study_id):
            ending = Ending(kind=EndingKind.FINISHED, reason=study.reason)
        else:
            with open_spool(home) as spool:
                setup = build_setup(spec, folder, home, study, data, spool)
                ending = work_as_agent(spec, study, database, pool, setup, view, names)
        if ending.error is not None:
            raise ending.error
        return RunOutcome(ending=ending, summary=_last_summary(database, spec.name, ending))


def _last_summary(database: Database, name: str, ending: Ending) -> StudySummary | None:
    if ending.is_cut_off:
        return None
    try:
        return load_summary(database, name)
    except DatabaseAway:
        if ending.kind is EndingKind.FINISHED:
            raise
        return None  # the exit code says how the run ended


def work_as_agent(
    spec: StudySpec,
    study: JoinedStudy,
    database: Database,
    pool: WorkerPool,
    setup: Setup,
    view: View,
    devices: tuple[str, ...],
) -> Ending:
    """Join the fleet and train until the study, or this agent, ends."""
    identity = build_identity(devices)
    store = PostgresStore(
        database, study.study_id, spec, identity, lease_seconds=study.lease_seconds
    )
    distributions = to_distributions(spec.search_space)
    with stop_on_signals(pool.inbox):
        pool.set_up(setup)
        agent = Agent(
            store=store,
            pool=pool,
            source=build_source(spec, store.ordinal, pool),
            complete=lambda number, fixed: complete(spec.seed, number, fixed, distributions),
            book=build_rulebook(spec),
            n_trials=study.n_trials,
            boot=identity.boot,
            lease_seconds=study.lease_seconds,
            spool=Path(setup.spool),
            view=view,
        )
        with open_agent(agent):
            return agent.run()


def build_source(spec: StudySpec, ordinal: int, pool: WorkerPool) -> SuggestionSource:
    """The study's sampler, in a thread of its own if it thinks."""
    sampler = build_sampler(spec)
    if isinstance(sampler, DrawSampler):
        return DrawSource(sampler)
    mirror = Mirror(to_distributions(spec.search_space), spec.direction)
    source = ModelSource(sampler, mirror, study_seed=spec.seed, ordinal=ordinal, inbox=pool.inbox)
    source.start()
    return source


def kind_of(spec: StudySpec) -> str:
    """Which workers an objective needs."""
    match spec.objective:
        case TrainerObjective():
            return "trainer"
        case FunctionObjective():
            return "function"


def n_draws_of(spec: StudySpec) -> int | None:
    """The cells of a grid; None for samplers without end."""
    sampler = build_sampler(spec)
    return sampler.n_draws() if isinstance(sampler, DrawSampler) else None


def build_rulebook(spec: StudySpec) -> Rulebook:
    """What the agent's rules need of the study."""
    return Rulebook(
        pruner=build_pruner(spec),
        n_steps=spec.n_steps,
        metric=spec.metric,
        direction=spec.direction,
        retries=spec.failures.retries,
        grace_seconds=spec.failures.grace_seconds,
        timeout_seconds=spec.trial.timeout_seconds,
        silence_seconds=spec.failures.silence_seconds,
    )


def build_setup(
    spec: StudySpec, folder: Path, home: Home, study: JoinedStudy, data: PreparedData, spool: Path
) -> Setup:
    """What every worker is told; its device is filled in for each."""
    return Setup(
        device="cpu",
        n_threads=1,
        objective=spec.objective.model_dump(mode="json"),
        fixed=dict(spec.params),
        data_folder=data.folder,
        data_seed=derive_seed(spec.seed, "data"),
        minimize=spec.direction is Direction.MINIMIZE,
        metric=spec.metric,
        spool=str(spool),
        save_every_seconds=spec.checkpoints.every_seconds,
        folder=str(folder),
        trials_folder=str(home.trials / study.unique_id),
    )


@contextmanager
def start_preparation(
    spec: StudySpec, folder: Path, home: Home
) -> Iterator["subprocess.Popen[str]"]:
    """The one-shot child that puts this machine's data on its disk, once for all trials.

    Of a function, the child that imports it: what fails there would fail every trial.
    """
    match spec.objective:
        case TrainerObjective():
            command = "prepare"
            request = {
                "data": spec.objective.data.model_dump(mode="json"),
                "folder": str(home.data),
            }
        case FunctionObjective():
            command = "inspect"
            request = {"function": spec.objective.function, "folder": str(folder)}
    child = subprocess.Popen(
        # -P: the working directory's modules must not stand in for the standard library's.
        [sys.executable, "-P", "-m", "tuner.worker", command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=clean_environment(dict(os.environ)),
        start_new_session=True,  # Ctrl-C is ours to judge
    )
    assert child.stdin is not None
    try:
        child.stdin.write(json.dumps(request) + "\n")
        child.stdin.flush()
        yield child
    finally:
        child.kill()
        child.wait()
        child.stdin.close()
        assert child.stdout is not None
        child.stdout.close()


def finish_preparation(child: "subprocess.Popen[str]") -> PreparedData:
    """Wait for the child; raises `RunFailed` with its sentence."""
    output, _ = child.communicate()
    try:
        answer = json.loads(output)
    except ValueError:
        raise RunFailed(f"preparing the objective failed (exit code {child.returncode})") from None
    if "error" in answer:
        raise RunFailed(f"preparing the objective failed: {answer['error']}")
    return PreparedData(
        folder=answer["folder"], fingerprint=answer["fingerprint"], summary=answer["summary"]
    )
