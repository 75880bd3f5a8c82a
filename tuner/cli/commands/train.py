"""`tuner train BEST.yaml`."""

import argparse
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from tuner.agent.echo import Asked
from tuner.cli.screen.progress_line import ProgressLine
from tuner.cli.streams import raw_streams
from tuner.cli.terminal import end_printed
from tuner.cli.text.as_json import render_json
from tuner.cli.text.words import flat, one_line, render_value
from tuner.errors import UsageError
from tuner.export.final_checks import check_training
from tuner.export.train_options import Rows, TrainOptions
from tuner.signals import exit_code, stop_signals
from tuner.study_file.best import BestConfig, load_best_config
from tuner.study_file.code_names import find_code_folder


def execute(options: argparse.Namespace) -> int:
    """Run the final training, to its end or until a signal."""
    path = Path(options.config)
    config = load_best_config(path, tuple(options.set))
    is_both = options.on == "train+val"
    if is_both and any(
        given.partition("=")[0].removeprefix("params.") == "epochs" for given in options.set
    ):
        raise UsageError(
            "--on train+val trains for the best epoch of the search, not for `epochs`; "
            "--set best_epoch=N changes it"
        )
    wanted = TrainOptions(
        output=Path(options.output or f"{config.name}-final"),
        rows=Rows(options.on),
        device=options.device,
        n_threads=options.threads,
        from_weights=options.from_weights,
        data=None if options.data is None else Path(options.data).absolute(),
        allow_code=frozenset(module for given in options.allow_code for module in given),
        allow_command=options.allow_command,
    )
    files = [config.weights.file] if config.weights else []
    source = find_code_folder(path, config.objective.code_names, files)
    check_training(config, source, wanted)
    if config.objective.command_line is not None:
        _tell(f"runs {config.objective.command_line}")
    # Rows that are trained on validate nothing.
    line = ProgressLine("train_loss" if is_both else config.metric, has_best=not is_both)
    with _stopping(line) as stop:
        from tuner.export.final_training import train_final  # noqa: PLC0415 - loads torch

        with raw_streams():
            trained = train_final(config, source, wanted, stop.event, line.tell)
    line.close()
    if not trained.metrics:
        with end_printed(exit_code(stop.number)) as code:
            _tell(f"stopped after step {trained.step}; the same command continues from there")
        return code
    if trained.was_done:
        _tell(f"{trained.folder} holds this training already; give -o to train it again elsewhere")
    print(render_json(trained.metrics, indent=2) if options.json else render(config, trained))
    return 0


class _Stop:
    """The first signal saves and leaves, the second leaves at once."""

    def __init__(self, line: ProgressLine) -> None:
        self.event = threading.Event()
        self.number = signal.SIGINT
        self._line = line
        self._asked = Asked()

    def hear(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        if not self._asked.hear(number):
            return
        if self.event.is_set():
            raise KeyboardInterrupt
        self.number = signal.Signals(number)
        self.event.set()
        self._line.tell(f"{self.number.name}: saving after this step; a second signal stops it")


@contextmanager
def _stopping(line: ProgressLine) -> Iterator[_Stop]:
    stop = _Stop(line)
    before = {number: signal.signal(number, stop.hear) for number in stop_signals()}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tell(text: str) -> None:
    print(one_line(text), file=sys.stderr)


def render(config: BestConfig, trained: Any) -> str:
    """Render the metrics, the weights that they belong to, and the location of all files."""
    metrics = trained.metrics
    trial = "?" if metrics["trial"] is None else metrics["trial"]
    lines = [f"{flat(config.name)}: final training of trial {trial}"]
    if "epoch" in metrics:  # of the built-in trainer
        lines += [f"test split, {metrics['test']['rows']} rows"]
        lines += _rows({n: v for n, v in metrics["test"].items() if n != "rows"})
        lines += _chosen(metrics)
    else:
        lines += _of_function(config, metrics)
    return "\n".join([*lines, f"{one_line(str(trained.folder))}: model-card.md explains its use"])


def _of_function(config: BestConfig, metrics: Any) -> list[str]:
    """Render the metrics of the delivered checkpoint, and of the test if there is one."""
    step, shown = metrics["checkpoint_step"], metrics.get("checkpoint_report")
    what = "last report" if shown is None else f"delivered: the checkpoint of step {step}"
    values = metrics["last"] if shown is None else shown
    lines = [f"{config.metric} {render_value(metrics['value'])}; {what}"]
    lines += _rows({n: v for n, v in values.items() if n != "seconds"})
    if "test" in metrics:
        lines += ["test", *_rows(metrics["test"])]
    if step is None:
        lines.append(f"the {config.objective.noun} saved no checkpoint: there is no model")
    return lines


def _rows(values: dict[str, Any]) -> list[str]:
    width = max((len(name) for name in values), default=0)
    return [f"  {one_line(name).ljust(width)}  {render_value(v)}" for name, v in values.items()]


def _chosen(metrics: dict[str, Any]) -> list[str]:
    """Render which of two was delivered, and why."""
    compared = metrics["compared"]
    if compared is None:
        return [f"trained on train+val for {metrics['epochs']} epochs"]
    values = ", ".join(f"{name} {render_value(value)}" for name, value in compared.items())
    what = f"validation {metrics['metric']}: {values}"
    is_choice = len(compared) > 1
    choice = f"; delivered: {metrics['delivered']}" if is_choice else ""
    return [f"{what}{choice} (epoch {metrics['epoch']})"]
