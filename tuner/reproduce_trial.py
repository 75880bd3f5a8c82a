"""`tuner reproduce`: a trial again from its record, and its suggestion derived again."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from tuner.agent.about import describe_machine
from tuner.agent.devices import Device, list_devices
from tuner.agent.events import HelperFailed, WorkerGone, WorkerSaid
from tuner.agent.rules.failures import failure_of_exit
from tuner.agent.workers.pool import WorkerPool, open_workers
from tuner.agent.workers.preparation import PreparedData, finish_preparation, start_preparation
from tuner.errors import UsageError
from tuner.export.code_source import folder_of_code, take_local_keys
from tuner.export.reproduction import (
    COMPLETE,
    STOPPED,
    Again,
    Record,
    Reproduction,
    compare,
    read_record,
)
from tuner.messages import Left, Ready, Reported, Start, Stop
from tuner.run_study import RunOptions, build_setup
from tuner.search.catalog import build_sampler
from tuner.search.mirror import Mirror
from tuner.search.protocols import DrawSampler
from tuner.space import to_distributions
from tuner.storage.connections.connection import Database
from tuner.storage.embedded.home import open_home, open_spool
from tuner.storage.opening import open_database
from tuner.storage.reading.shipping import read_basis
from tuner.storage.schema.migrations import migrate
from tuner.storage.work.records import read_records
from tuner.study.command_line import file_option, study_command
from tuner.study.trial import Params, Values
from tuner.study.verdict import Outcome, Verdict

NEVER_SECONDS = 1e9  # between checkpoints, which are not needed
Tell = Callable[[Reported], None]


@dataclass(frozen=True, kw_only=True)
class Rederived:
    """A suggestion, as stored and as derived again."""

    number: int
    sampler: str
    params: Params
    again: Params

    @property
    def is_equal(self) -> bool:
        return dict(self.params) == dict(self.again)


def reproduce(
    name: str, number: int, study_file: Path | None, options: RunOptions, tell: Tell
) -> Reproduction:
    """Train a trial again in a worker of its own, for the recorded length, and compare.

    Nothing is written to the database. Raises `TunerError`.
    """
    with open_database(options.storage) as database:
        migrate(database)
        with database.reading() as connection:
            record = read_record(connection, name, number)
    command = study_command("reproduce", name, file_option(), values=str(number))
    folder = folder_of_code(record.spec, study_file, command)
    record = replace(record, spec=take_local_keys(record.spec, study_file))
    return compare(record, _train_again(record, folder, options, tell))


def rederive(name: str, number: int, options: RunOptions) -> Rederived:
    """Call the sampler again on its recorded basis; raises `UsageError` for an enqueued trial."""
    with open_database(options.storage) as database:
        migrate(database)
        with database.reading() as connection:
            record = read_record(connection, name, number)
        again = _suggest_again(database, record)
    return Rederived(
        number=number,
        sampler=record.spec.sampler.name,
        params=record.trial.params,
        again=again,
    )


def _suggest_again(database: Database, record: Record) -> Params:
    spec, draw, study_id = record.spec, record.origin.draw, record.study.study_id
    if draw is None:
        raise UsageError(
            f"trial {record.trial.number} was enqueued; no sampler has suggested its params"
        )
    sampler = build_sampler(spec)
    if isinstance(sampler, DrawSampler):
        return sampler.suggest(draw).params
    first = _first_try(database, record)
    with database.reading() as connection:
        basis = read_basis(connection, study_id, first)
    if basis is None:
        raise UsageError(f"the record lacks the sampler's basis for trial {first}")
    distributions = to_distributions(spec.search_space)
    mirror = Mirror(distributions, spec.direction)
    records, rungs = read_records(database, study_id, distributions)
    mirror.update_rungs(rungs)
    mirror.update(records)
    then = mirror.as_of(basis)
    shared = spec.structural_params
    return sampler.propose(then, basis.place + 1, basis.seed, shared=shared)[basis.place].params


def _first_try(database: Database, record: Record) -> int:
    """Return the number of the first try: a retry has the params of the trial that it repeats."""
    number, retry_of = record.trial.number, record.trial.retry_of
    with database.reading() as connection:
        while retry_of is not None:
            number = retry_of
            retry_of = read_record(connection, record.study.name, number).trial.retry_of
    return number


def _train_again(record: Record, folder: Path, options: RunOptions, tell: Tell) -> Again:
    spec, home = record.spec, open_home()
    device = _device_like(record, options)
    with ExitStack() as stack:
        pool = stack.enter_context(open_workers([device], processes=1, objective=spec.objective))
        child = stack.enter_context(start_preparation(spec, folder, home.data))
        spool = stack.enter_context(open_spool(home))
        trials_folder = stack.enter_context(TemporaryDirectory(prefix="tuner-reproduce-"))
        data = finish_preparation(child)
        setup = build_setup(spec, folder, trials_folder, data, spool.path)
        # Alone: the trial would have the same bits in a group, but there is none here.
        alone = replace(setup, n_lanes=1, keep_best=0, save_every_seconds=NEVER_SECONDS)
        pool.set_up(alone)
        return _follow(pool, record, _Place(device, data, folder), tell)


@dataclass(frozen=True)
class _Place:
    """Device, setup and data of the training."""

    device: Device
    data: PreparedData
    folder: Path


def _device_like(record: Record, options: RunOptions) -> Device:
    """Return the first device; a CPU with the recorded threads, which determine rounding."""
    workers = record.spec.workers
    device = list_devices(
        options.workers, processes=1, n_gpus=workers.gpus_per_trial, n_ranks=workers.n_ranks
    )[0]
    threads = record.origin.about.get("threads")
    if device.torch_device != "cpu" or type(threads) is not int:
        return device
    return replace(device, n_threads=threads)


def _follow(pool: WorkerPool, record: Record, place: _Place, tell: Tell) -> Again:
    """Train one trial, pruned at its recorded step, without a pruner."""
    (pid,) = pool.workers
    last = max(record.curve, default=0)
    is_whole = record.ended_by_itself
    decide_at = () if is_whole or not last else ((last, last + 1, 1),)
    start = Start(
        number=0,
        attempt=1,
        params=record.trial.params,
        seed=record.origin.seed,
        checkpoint=None,
        decide_at=decide_at,
    )
    curve: dict[int, Values] = {}
    while True:
        event = pool.inbox.get()
        match event:
            case WorkerSaid(message=Ready(n_taken=0)):
                pool.send(pid, start)
            case WorkerSaid(message=Reported() as reported):
                curve[reported.step] = reported.values
                tell(reported)
                if not is_whole and reported.step == last:
                    pool.send(pid, Stop(number=0, attempt=1, verdict=Verdict.PRUNE))
            case WorkerSaid(message=Left() as left):
                return _again(place, curve, left.value, _words_of(left))
            case WorkerGone():
                message = failure_of_exit(event.exit_code, "").message
                return _again(place, curve, None, message)
            case HelperFailed():
                raise event.error


def _words_of(left: Left) -> str:
    if left.how in (Outcome.COMPLETE, Outcome.PRUNED):
        return COMPLETE if left.how is Outcome.COMPLETE else STOPPED
    return left.message or str(left.how)


def _again(place: _Place, curve: Mapping[int, Values], value: float | None, ended: str) -> Again:
    about = describe_machine([place.device], place.folder)
    return Again(
        curve=curve,
        value=value,
        ended=ended,
        device=f"{place.device.name}, {about['devices'][place.device.name]}",
        fingerprint=place.data.fingerprint,
        code=place.data.code,
        packages=about["packages"],
    )
