"""`tuner train`: the full-length training of one config, without a database."""

import threading
from collections.abc import Callable
from pathlib import Path

from tuner.errors import RunFailed
from tuner.export.code_source import check_code, check_command
from tuner.export.final_folder import is_done, open_final_folder, read_metrics
from tuner.export.final_job import Job, Trained
from tuner.export.final_lane import Told
from tuner.export.kinds.table import FINAL_TRAININGS
from tuner.export.train_options import TrainOptions, at_length, threads_of, training_text
from tuner.study_file.best import BestConfig
from tuner.training.device import open_device
from tuner.worker.bad_code import BadCode


def train_final(
    config: BestConfig,
    source: Path,
    options: TrainOptions,
    stop: threading.Event,
    tell: Callable[[Told | str], None],
) -> Trained:
    """Train, evaluate once on the test split, and write the folder; resume an interrupted training.

    `source` is the config's own folder, to which names of code and weights are relative. `stop`
    saves the state and returns. Raises `TunerError`.
    """
    config = at_length(config, options.rows)
    check_code(config, source, options.allow_code)
    check_command(config, is_allowed=options.allow_command)
    device = open_device(options.device, threads_of(config, options))
    with open_final_folder(options.output, training_text(config, options)) as folder:
        job = Job(
            config=config,
            source=source,
            options=options,
            folder=folder,
            device=device,
            stop=stop,
            tell=tell,
        )
        metrics = read_metrics(folder) if is_done(folder) else None
        if metrics is not None and not metrics.get("test_fault"):
            return Trained(folder=folder, metrics=metrics, was_done=True)
        try:
            return FINAL_TRAININGS[config.objective.kind]()(job)
        except BadCode as error:
            raise RunFailed(str(error)) from error
