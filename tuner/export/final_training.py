"""`tuner train`: the full-length training of one config, without a database."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tuner.errors import RunFailed
from tuner.export.code_source import check_code
from tuner.export.final_folder import METRICS, is_done, open_final_folder
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
    device = open_device(options.device, threads_of(config, options))
    with open_final_folder(options.output, training_text(config, options)) as folder:
        if is_done(folder):
            return Trained(folder=folder, metrics=_read(folder / METRICS), was_done=True)
        job = Job(
            config=config,
            source=source,
            options=options,
            folder=folder,
            device=device,
            stop=stop,
            tell=tell,
        )
        try:
            return FINAL_TRAININGS[config.objective.kind]()(job)
        except BadCode as error:
            raise RunFailed(str(error)) from error


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RunFailed(f"{path} cannot be read; remove its folder and train again") from error
    return dict(found)
