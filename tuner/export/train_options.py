"""Options of a final training, and the config with them applied; loads no torch."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tuner.errors import UsageError
from tuner.export.config_text import render_yaml
from tuner.export.final_folder import ROWS
from tuner.study.trial import ParamValue
from tuner.study_file.best import BestConfig

MAX_THREADS = 1024


class Rows(StrEnum):
    """The rows to train on."""

    TRAIN = "train"  # the validation split determines the best epoch
    BOTH = "train+val"  # for the epochs that the search found best


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Additions of the command line to the config."""

    output: Path
    rows: Rows = Rows.TRAIN
    device: str | None = None  # None: a GPU if there is one
    n_threads: int | None = None  # on a CPU; None: as many as the trial had, see `threads_of`
    from_weights: bool = False
    data: Path | None = None  # where the data are; None: where the config names them
    allow_code: frozenset[str] = frozenset()  # see `check_code`
    allow_command: bool = False  # see `check_command`


def threads_of(config: BestConfig, options: TrainOptions) -> int:
    """Return the number of threads: it determines rounding, and the default is the trial's."""
    noted = config.provenance.get("threads")
    known = noted if type(noted) is int and 0 < noted <= MAX_THREADS else 1
    return options.n_threads or known


def at_length(config: BestConfig, rows: Rows) -> BestConfig:
    """Apply the length: with validation rows in the training it is the best epoch of the search.

    No row is left then that could end the training early. Raises `UsageError` if that epoch is not
    known, or if a function has data of its own.
    """
    if rows is Rows.TRAIN:
        return config
    if not config.objective.has_prepared_data:
        raise UsageError(
            f"--on train+val: a {config.objective.noun} has data of its own; leave --on out"
        )
    if config.best_epoch is None:
        raise UsageError(
            "--on train+val trains for the best epoch of the search, and the file has none; "
            "add --set best_epoch=N"
        )
    fixed: dict[str, ParamValue] = {"epochs": config.best_epoch}
    if "patience" in config.params:
        fixed["patience"] = 0
    return config.model_copy(update={"params": {**config.params, **fixed}})


def training_text(config: BestConfig, options: TrainOptions) -> str:
    """Render `config.yaml`: the training and its rows."""
    noted = config.provenance.get("trial")
    trial = noted if type(noted) is int else "?"
    start = ", from the trial's own weights" if options.from_weights else ""
    head = f"tuner: final training of trial {trial} of study {config.name}"
    beside = f", beside weights {config.weights.sha256[:12]}" if config.weights else ""
    mark = f"{ROWS.removeprefix('# ')}{options.rows}{start}{beside}"
    return render_yaml(config.model_copy(update={"weights": None}), head=f"{head}\n{mark}")
