"""`tuner train`: the full-length training of one config, without a database."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tuner.errors import RunFailed, UsageError
from tuner.export.config_text import render_yaml
from tuner.export.final_folder import METRICS, ROWS, is_done, open_final_folder
from tuner.export.final_job import Job, Rows, Trained, TrainOptions, threads_of
from tuner.export.final_lane import Told
from tuner.export.train_function import train_function
from tuner.export.train_model import train_model
from tuner.study_file.best import BestConfig
from tuner.study_file.model import FunctionObjective
from tuner.training.device import open_device
from tuner.worker.bad_code import BadCode


def train_final(
    config: BestConfig,
    source: Path,
    options: TrainOptions,
    stop: threading.Event,
    tell: Callable[[Told | str], None],
) -> Trained:
    """Train, evaluate once on the test split, and write the folder; or go on where it stopped.

    `source` is the config's own folder, what names of code and weights are relative to. `stop`
    saves the state and returns. Raises `TunerError`.
    """
    config = at_length(config, options.rows)
    device = open_device(options.device, threads_of(config, options))
    with open_final_folder(options.output, _text(config, options)) as folder:
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
            if isinstance(config.objective, FunctionObjective):
                return train_function(job, config.objective)
            return train_model(job, config.objective)
        except BadCode as error:
            raise RunFailed(str(error)) from error


def at_length(config: BestConfig, rows: Rows) -> BestConfig:
    """With validation rows among the training rows nothing says when to stop: the search did.

    Raises `UsageError` where that is not known, or where a function has data of its own.
    """
    if rows is Rows.TRAIN:
        return config
    if isinstance(config.objective, FunctionObjective):
        raise UsageError("--on train+val: a function has data of its own; leave --on out")
    if config.best_epoch is None:
        raise UsageError(
            "--on train+val trains for the best epoch of the search, and the file has none; "
            "add --set best_epoch=N"
        )
    return config.model_copy(update={"params": {**config.params, "epochs": config.best_epoch}})


def _text(config: BestConfig, options: TrainOptions) -> str:
    """`config.yaml`: what is trained, on which rows."""
    noted = config.provenance.get("trial")
    trial = noted if type(noted) is int else "?"
    start = ", from the trial's own weights" if options.from_weights else ""
    head = f"tuner: final training of trial {trial} of study {config.name}"
    beside = f", beside weights {config.weights.sha256[:12]}" if config.weights else ""
    mark = f"{ROWS.removeprefix('# ')}{options.rows}{start}{beside}"
    return render_yaml(config.model_copy(update={"weights": None}), head=f"{head}\n{mark}")


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RunFailed(f"{path} cannot be read; remove its folder and train again") from error
    return dict(found)
