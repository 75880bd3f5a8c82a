"""Checks of a final training without torch, which takes seconds to load."""

import hashlib
from pathlib import Path

from tuner.errors import RunFailed, UsageError
from tuner.export.code_source import check_code, check_command
from tuner.export.final_folder import is_done, look_at_final_folder
from tuner.export.train_options import TrainOptions, at_length, training_text
from tuner.study_file.best import BestConfig
from tuner.training.device_words import split_device


def check_training(config: BestConfig, source: Path, options: TrainOptions) -> None:
    """Check everything without any change; `source` is the config's own folder.

    Raises the errors of `train_final`, which repeats the checks.
    """
    asked = at_length(config, options.rows)
    check_code(config, source, options.allow_code)
    check_command(config, is_allowed=options.allow_command)
    if options.data is not None and not config.objective.path_names:
        raise UsageError("--data: the objective of this config reads no file; leave it out")
    if options.device is not None:
        split_device(options.device)
    look_at_final_folder(options.output, training_text(asked, options))
    has_weights = config.objective.has_prepared_data
    if has_weights and not is_done(options.output):  # a finished folder needs none
        _look_at_weights(config, source)
    if options.from_weights and config.weights is None:
        raise UsageError("--from-weights: the file names no weights; tuner export --weights")


def _look_at_weights(config: BestConfig, source: Path) -> None:
    named = config.weights
    if named is None:
        return
    try:
        with (source / named.file).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise RunFailed(
            f"the weights next to the config cannot be used: {named.file} cannot be read "
            f"({error.strerror}); it belongs next to the file that tuner export --weights wrote"
        ) from error
    if found != named.sha256:
        raise RunFailed(
            f"the weights next to the config cannot be used: {named.file} is not the file that was "
            "written: another sha256"
        )
