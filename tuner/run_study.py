"""The whole product as one recipe: from a study file to the end of the study.

Readers of the code start here.
"""

import time
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path

from tuner.agent.about import describe_machine
from tuner.agent.devices import FoundDevices, find_devices, max_memory
from tuner.agent.identity import build_identity
from tuner.agent.loop import Agent, open_agent
from tuner.agent.machine import Rulebook
from tuner.agent.notices import StudyJoined
from tuner.agent.occupancy import Occupancy
from tuner.agent.port import View
from tuner.agent.signals import stop_on_signals
from tuner.agent.steering import follow_steering, is_steered
from tuner.agent.threads.folders import Folder
from tuner.agent.threads.suggester import DrawSource, ModelSource, SuggestionSource
from tuner.agent.workers.left_behind import end_left_behind
from tuner.agent.workers.pool import WorkerPool, open_workers
from tuner.agent.workers.preparation import (
    PreparedData,
    check_goal,
    finish_preparation,
    start_preparation,
)
from tuner.errors import DatabaseAway, RunFailed, render_short
from tuner.export.code_source import folder_of_code, take_local_keys
from tuner.export.linked_study import compare_with_search
from tuner.messages import Setup
from tuner.results.summary import StudySummary, load_summary
from tuner.search.catalog import build_pruner, build_sampler
from tuner.search.completion import complete
from tuner.search.mirror import Mirror
from tuner.search.protocols import DrawSampler, ModelSampler
from tuner.space import to_distributions
from tuner.storage.connections.connection import Database, DatabaseUrl, render_url
from tuner.storage.embedded.home import DataFolder, Home, open_home, open_spool
from tuner.storage.objects.store import open_store
from tuner.storage.opening import open_database
from tuner.storage.reading.rows import find_row
from tuner.storage.schema.migrations import migrate
from tuner.storage.work.join import JoinedStudy, is_finished, join_study, read_defaults
from tuner.storage.work.store import PostgresStore
from tuner.study.agents import AgentIdentity, Desired
from tuner.study.code import Code
from tuner.study.command_line import UNKNOWN_FILE, run_study_command
from tuner.study.ending import Ending, EndingKind
from tuner.study.schedule import MODEL_RUNGS, NO_RUNGS
from tuner.study.seeds import derive_seed
from tuner.study_file.identity import parse_spec, render_differences
from tuner.study_file.load import load_study_file
from tuner.study_file.model import CodePolicy, StudySpec
from tuner.study_file.params.written import write_space
from tuner.study_file.stores import parse_store

LEARNING_SHARE = 8  # one in so many of the budget's trials; see search_at_equal_time.py
_MAX_DRAWS = 10**18  # fits the database's column; larger grids cannot be finished anyway
# A database that is about to come back must not turn a finished run into an error.
SUMMARY_TRIES = 4
SUMMARY_PAUSE_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Additions of the command line to the study file."""

    storage: DatabaseUrl | None = None  # None: the embedded server
    workers: int | None = None  # CPU workers; None: one per core
    overrides: tuple[str, ...] = ()  # "budget.trials=20"


@dataclass(frozen=True, kw_only=True)
class RunOutcome:
    """The end of this agent's part, and the state of the study."""

    name: str  # of the study
    ending: Ending
    summary: StudySummary | None  # None: the database is away


def run(path: Path, options: RunOptions, view: View) -> RunOutcome:
    """Create or join the study of a study file and work on it until it ends."""
    loaded = load_study_file(path, options.overrides)
    notes = [render_short(str(path), warning) for warning in loaded.warnings]
    return work(loaded.spec, loaded.folder, options, view, notes, unnamed=loaded.unnamed)


def run_stored(name: str, path: Path | None, options: RunOptions, view: View) -> RunOutcome:
    """Work on a study that is in the database, without its own file, until it ends.

    A database may not choose the code that runs here: if the objective is the user's code, `path`
    is a study file that names the same. Raises `NotFound`, `UsageError`, `StudyMismatch`.
    """
    with open_database(options.storage) as database:
        migrate(database)
        with database.reading() as connection:
            spec = parse_spec(find_row(connection, name).spec)
        folder = folder_of_code(spec, path, run_study_command(name, UNKNOWN_FILE))
        spec = take_local_keys(spec, path)
        return work(spec, folder, options, view, database=database)


def work(
    spec: StudySpec,
    folder: Path,
    options: RunOptions,
    view: View,
    notes: Sequence[str] = (),
    *,
    unnamed: Collection[str] = (),
    database: Database | None = None,
) -> RunOutcome:
    """Work on a study with this machine's devices until it ends.

    `folder` is the study file's, to which a function's name is relative. `notes` are shown at the
    start. `unnamed` are the keys that the study file leaves to their defaults: an existing study
    keeps its own. `database`: an open one, if any. The slow starts run in parallel: workers import
    torch, a child prepares the data, and the database comes up.
    """
    processes = spec.workers.processes
    found = _find_devices(spec, options)
    devices = found.devices
    home = open_home()
    with (
        open_workers(
            devices, processes, spec.objective, folder if spec.workers.preload else None
        ) as pool,
        start_preparation(spec, folder, home.data) as preparation,
        _opened(database, options) as database,
    ):
        migrate(database)
        spec, kept = read_defaults(database, spec, unnamed)
        data = finish_preparation(preparation)
        check_goal(spec, data)
        notes = (*notes, *found.notices, *kept)
        notes = (*notes, *compare_with_search(database, spec, data.fingerprint, data.code))
        study = join_study(
            database, spec, data.fingerprint, n_draws_of(spec), data.code, n_rows=data.n_rows
        )
        names = pool.place_names
        with stop_on_signals(pool.inbox):  # from the first word on: who reads it may send one
            view.show(_joined(spec, study, database, data, names, notes))
            if study.desired is Desired.HALTED:
                ending = Ending(kind=EndingKind.HALTED, reason=study.reason)
            elif is_finished(database, study.study_id):
                ending = Ending(kind=EndingKind.FINISHED, reason=study.reason)
            else:
                with open_spool(home, is_cleared=end_left_behind) as spool:
                    trials_folder = str(home.trials / study.unique_id)
                    setup = build_setup(spec, folder, trials_folder, data, spool.path)
                    identity = build_identity(
                        names, data.code, describe_machine(devices, folder), max_memory(devices)
                    )
                    folders: list[Folder] = [spool, *_data_folders(spec, folder, home, data)]
                    ending = work_as_agent(
                        spec, study, database, pool, setup, view, identity, home.devices, folders
                    )
        if ending.error is not None:
            raise ending.error
        return RunOutcome(
            name=spec.name, ending=ending, summary=_last_summary(database, spec.name, ending)
        )


def _find_devices(spec: StudySpec, options: RunOptions) -> FoundDevices:
    return find_devices(
        options.workers,
        spec.workers.processes,
        n_gpus=spec.workers.gpus_per_trial,
        n_ranks=spec.workers.n_ranks,
    )


def _joined(
    spec: StudySpec,
    study: JoinedStudy,
    database: Database,
    data: PreparedData,
    names: Sequence[str],
    notes: Sequence[str],
) -> StudyJoined:
    """Build the first notice to the user."""
    return StudyJoined(
        name=spec.name,
        is_new=study.is_new,
        n_trials=study.n_trials,
        data=data.summary,
        workers=tuple(names),
        storage=render_url(database.engine.url),
        step_noun=spec.step_noun,
        notices=(
            *notes,
            *database.warnings,
            *(render_differences([notice]) for notice in study.notices),
        ),
    )


def _data_folders(
    spec: StudySpec, folder: Path, home: Home, data: PreparedData
) -> Sequence[DataFolder]:
    """Return the folders to keep; a function has no prepared data."""

    def prepare() -> None:
        with start_preparation(spec, folder, home.data) as preparation:
            again = finish_preparation(preparation)
        if again.fingerprint != data.fingerprint:
            raise RunFailed("prepared again, the data are not the same")

    return [DataFolder(Path(data.folder), prepare)] if data.folder else []


def _opened(database: Database | None, options: RunOptions) -> AbstractContextManager[Database]:
    return open_database(options.storage) if database is None else nullcontext(database)


def _last_summary(database: Database, name: str, ending: Ending) -> StudySummary | None:
    if ending.is_cut_off:
        return None
    tries_left = SUMMARY_TRIES
    while True:
        try:
            return load_summary(database, name)
        except DatabaseAway:
            if ending.kind is not EndingKind.FINISHED:
                return None  # the exit code gives the end of the run
            tries_left -= 1
            if not tries_left:
                raise
            time.sleep(SUMMARY_PAUSE_SECONDS)


def work_as_agent(
    spec: StudySpec,
    study: JoinedStudy,
    database: Database,
    pool: WorkerPool,
    setup: Setup,
    view: View,
    identity: AgentIdentity,
    locks: Path,
    folders: Sequence[Folder] = (),
) -> Ending:
    """Join the fleet and train until the study, or this agent, ends."""
    location = parse_store(spec.checkpoints.store)
    store = PostgresStore(
        database,
        study.study_id,
        spec,
        identity,
        lease_seconds=study.lease_seconds,
        objects=None if location is None else open_store(location, Path(setup.folder)),
    )
    distributions = to_distributions(spec.search_space)
    occupancy = Occupancy(
        store, locks, identity.boot, {place: d.uuids for place, d in pool.devices.items()}
    )
    # Until their devices are this agent's, or are given to this study.
    pool.rest_places(pool.place_names if is_steered() else occupancy.places)
    pool.set_up(setup, identity.agent_id)
    agent = Agent(
        store=store,
        pool=pool,
        source=build_source(spec, store.ordinal, pool),
        complete=lambda number, fixed: complete(spec.seed, number, fixed, distributions),
        book=build_rulebook(spec, identity.code),
        n_trials=study.n_trials,
        boot=identity.boot,
        lease_seconds=study.lease_seconds,
        spool=Path(setup.spool),
        folders=folders,
        view=view,
        occupancy=occupancy,
        is_steered=is_steered(),
    )
    if is_steered():
        follow_steering(pool.inbox)
    with closing(occupancy), open_agent(agent):
        return agent.run()


def build_source(spec: StudySpec, ordinal: int, pool: WorkerPool) -> SuggestionSource:
    """Build the study's sampler; a model has a thread of its own."""
    sampler = build_sampler(spec)
    if isinstance(sampler, DrawSampler):
        return DrawSource(sampler)
    mirror = Mirror(to_distributions(spec.search_space), spec.direction)
    source = ModelSource(
        sampler,
        mirror,
        study_seed=spec.seed,
        ordinal=ordinal,
        inbox=pool.inbox,
        shared=spec.structural_params,
    )
    source.start()
    return source


def n_draws_of(spec: StudySpec) -> int | None:
    """Return the cells of a grid; None for samplers without end."""
    sampler = build_sampler(spec)
    n_draws = sampler.n_draws() if isinstance(sampler, DrawSampler) else None
    return None if n_draws is None else min(n_draws, _MAX_DRAWS)


def build_rulebook(spec: StudySpec, code: Code) -> Rulebook:
    """Build the constants of the study, and of this agent, that the rules need."""
    sampler = build_sampler(spec)
    reads_rungs = isinstance(sampler, ModelSampler) and sampler.reads_rungs
    return Rulebook(
        pruner=build_pruner(spec),
        model_rungs=MODEL_RUNGS if reads_rungs else NO_RUNGS,
        n_steps=spec.n_steps,
        goal=spec.goal,
        retries=spec.failures.retries,
        grace_seconds=spec.failures.grace_seconds,
        timeout_seconds=spec.trial.timeout_seconds,
        seconds_metric=spec.objective.seconds_metric,
        silence_seconds=spec.failures.silence_seconds,
        max_offline_seconds=spec.failures.max_offline_seconds,
        max_lanes=spec.objective.max_lanes,
        is_single_use=spec.objective.is_single_use,
        code=code,
        is_code_fixed=spec.code is CodePolicy.REFUSE,
        max_in_flight=max_in_flight(spec),
        structural=spec.structural_params,
        has_object_store=parse_store(spec.checkpoints.store) is not None,
        trusts_folders=spec.checkpoints.trusts_folders,
    )


def max_in_flight(spec: StudySpec) -> int | None:
    """Return how many trials may train at a time, over all machines, for a model to learn.

    It is a share of the budget for samplers that learn from ended trials; None for those that do
    not, and if the study file sets the number of lanes. An idle device gets a trial anyway.
    """
    if spec.workers.lanes is not None or spec.budget.trials is None or not _learns(spec):
        return None
    return max(1, spec.budget.trials // LEARNING_SHARE)


def is_prompt(spec: StudySpec) -> bool:
    """Return whether results are awaited: by a model at a trial's end, by a pruner for comparison.

    Without either, only throughput counts (`training.sizes`).
    """
    return _learns(spec) or spec.pruner.name != "none"


def _learns(spec: StudySpec) -> bool:
    """Return whether its sampler waits for trials to end."""
    return isinstance(build_sampler(spec), ModelSampler)


def build_setup(
    spec: StudySpec, folder: Path, trials_folder: str, data: PreparedData, spool: Path
) -> Setup:
    """Build the setup for every worker; its device is added for each."""
    return Setup(
        device="cpu",
        n_threads=1,
        objective=spec.objective.model_dump(mode="json"),
        fixed=dict(spec.params),
        data_folder=data.folder,
        data_seed=derive_seed(spec.seed, "data"),
        goal=spec.goal,
        spool=str(spool),
        save_every_seconds=spec.checkpoints.every_seconds,
        folder=str(folder),
        trials_folder=trials_folder,
        search_space=write_space(spec.search_space),
        n_lanes=spec.workers.lanes,
        n_ranks=spec.workers.n_ranks,
        is_prompt=is_prompt(spec),
        keep_best=spec.checkpoints.keep_best,
        grace_seconds=spec.failures.grace_seconds,
        trusts_folders=spec.checkpoints.trusts_folders,
        code=data.code,
        is_code_fixed=spec.code is CodePolicy.REFUSE,
    )
