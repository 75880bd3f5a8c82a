"""One step of one trial without a database, to test the objective."""

import math
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic

from tuner.agent.devices import list_devices
from tuner.agent.events import HelperFailed, WorkerGone, WorkerSaid
from tuner.agent.rules.failures import failure_of_exit
from tuner.agent.workers.pool import WorkerPool, open_workers
from tuner.agent.workers.preparation import finish_preparation, start_preparation
from tuner.errors import RunFailed
from tuner.messages import Left, Ready, Reported, Start, Stop
from tuner.run_study import RunOptions, build_setup
from tuner.search.samplers.random import RandomSampler
from tuner.space import to_distributions
from tuner.storage.embedded.home import open_home, open_spool
from tuner.study.schedule import ENDLESS
from tuner.study.seeds import derive_seed
from tuner.study.trial import Params, Values
from tuner.study.verdict import Outcome, Verdict
from tuner.study_file.load import load_study_file


@dataclass(frozen=True, kw_only=True)
class SmokeResult:
    """One step of one trial, trained without a database."""

    params: Params
    step: int
    values: Values
    seconds: float  # from the start of the trial to its report


def smoke(path: Path, options: RunOptions) -> SmokeResult:
    """Train one random trial for one step on one worker, and write nothing that stays.

    Raises `RunFailed` with the failure and the end of the log.
    """
    loaded = load_study_file(path, options.overrides)
    spec, folder, home = loaded.spec, loaded.folder, open_home()
    devices = list_devices(
        options.workers,
        processes=1,
        n_gpus=spec.workers.gpus_per_trial,
        n_ranks=spec.workers.n_ranks,
    )[:1]
    with (
        open_workers(devices, processes=1, objective=spec.objective) as pool,
        start_preparation(spec, folder, home.data) as preparation,
        open_spool(home) as spool,
        tempfile.TemporaryDirectory(prefix="tuner-smoke-") as trials_folder,
    ):
        data = finish_preparation(preparation)
        pool.set_up(build_setup(spec, folder, trials_folder, data, spool.path))
        distributions = to_distributions(spec.search_space)
        params = RandomSampler(seed=spec.seed, distributions=distributions).suggest(0).params
        return _train_one_step(pool, params, derive_seed(spec.seed, "trial", 0))


def _train_one_step(pool: WorkerPool, params: Params, seed: int) -> SmokeResult:
    """Let the worker report once and release the trial, so that it saves its state as well."""
    (pid,) = pool.workers
    start = Start(
        number=0,
        attempt=1,
        params=params,
        seed=seed,
        checkpoint=None,
        decide_at=((1, ENDLESS, 1),),
    )
    started_at = monotonic()
    result = SmokeResult(params=params, step=0, values={}, seconds=0.0)
    while True:
        event = pool.inbox.get()
        match event:
            case WorkerSaid(message=Ready(n_taken=0)):
                started_at = monotonic()
                pool.send(pid, start)
            case WorkerSaid(message=Reported() as reported):
                _check_values(reported)
                result = replace(
                    result,
                    step=reported.step,
                    values=reported.values,
                    seconds=monotonic() - started_at,
                )
                pool.send(pid, Stop(number=0, attempt=1, verdict=Verdict.RELEASE))
            case WorkerSaid(message=Left(how=Outcome.RELEASED | Outcome.PRUNED)):
                return result
            case WorkerSaid(message=Left(how=Outcome.COMPLETE) as left):
                if left.value is not None:
                    result = replace(result, values={**result.values, "returned": left.value})
                return replace(result, seconds=monotonic() - started_at)
            case WorkerSaid(message=Left() as left):
                raise RunFailed(f"the trial failed: {left.message}{_printed(event.tail)}")
            case WorkerGone():
                failure = failure_of_exit(event.exit_code, "")
                raise RunFailed(f"the trial failed: {failure.message}{_printed(event.tail)}")
            case HelperFailed():
                raise event.error


def _check_values(reported: Reported) -> None:
    bad = [f"{name} is {v}" for name, v in reported.values.items() if not math.isfinite(v)]
    if bad:
        raise RunFailed(f"the trial failed: {', '.join(bad)} at step {reported.step}")


def _printed(tail: str) -> str:
    lines = tail.strip().splitlines()[-10:]
    return "\n  " + "\n  ".join(lines) if lines else ""
