"""A command with the values of one trial: its arguments, its environment, and its files."""

import glob
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tuner.study.trial import Params, ParamValue
from tuner.study_file.kinds.command.config_file import load_config, render_config, with_params
from tuner.study_file.kinds.command.objective import CommandObjective
from tuner.study_file.kinds.command.placeholders import fill, names_in
from tuner.study_file.kinds.command.report import Report

REPORTS = "TUNER_REPORTS"  # variable with the file to which `tuner.report` adds lines


@dataclass(frozen=True, kw_only=True)
class TrialPlace:
    """What a program has to know of its trial, apart from the params."""

    number: int
    seed: int
    step: int  # of the checkpoint to continue from; 0 without one
    device: str  # "cpu" or "cuda:0"
    folder: Path  # of the study file
    trial_dir: Path
    checkpoint_dir: Path

    @property
    def reports(self) -> Path:
        """Return the file to which `tuner.report` adds lines."""
        return self.trial_dir / ".tuner-reports.jsonl"

    @property
    def small_seed(self) -> int:
        """Return a seed that programs with 32-bit signed seeds take."""
        return self.seed % 2**31


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """A program as it is started, and where its reports are."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]  # additions to the worker's
    location: str  # of the reports: a path; empty for a pattern and for lines


def text_of(value: ParamValue) -> str:
    """Return a value as YAML and JSON write it; text is left as it is."""
    return value if isinstance(value, str) else json.dumps(value)


def build_invocation(
    objective: CommandObjective, params: Params, place: TrialPlace, inherited: Mapping[str, str]
) -> Invocation:
    """Fill in the placeholders and write the files that they name; raises `BadConfig`, `OSError`.

    Params of conditions that do not hold have no value: an argument that consists of their
    placeholder is left out together with an option in front of it.
    """
    values = _values(objective, params, place)
    report = objective.report
    is_path = report is not None and report.pattern is None
    return Invocation(
        arguments=tuple(_arguments(objective, params, values)),
        environment=_environment(objective, values, place, inherited),
        location=_location(report, values, place) if report and is_path else "",
    )


def _values(objective: CommandObjective, params: Params, place: TrialPlace) -> Mapping[str, str]:
    used = objective.placeholders
    values = {name: text_of(value) for name, value in params.items()}
    values |= {
        "trial_dir": str(place.trial_dir),
        "checkpoint_dir": str(place.checkpoint_dir),
        "seed": str(place.small_seed),
        "trial": str(place.number),
        "python": sys.executable,
    }
    if "params_json" in used:
        values["params_json"] = _write(place, "params.json", render_config(params, ".json"))
    if "params_yaml" in used:
        values["params_yaml"] = _write(place, "params.yaml", render_config(params, ".yaml"))
    if "config" in used:
        assert objective.config is not None
        path = place.folder / objective.config
        content = with_params(load_config(path), params)
        values["config"] = _write(place, path.name, render_config(content, path.suffix))
    return values


def _write(place: TrialPlace, name: str, text: str) -> str:
    path = place.trial_dir / name
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    return str(path)


def _arguments(objective: CommandObjective, params: Params, values: Mapping[str, str]) -> list[str]:
    arguments: list[str] = []
    before = ""  # the word in front, as the study file writes it
    for word in objective.command:
        if word == "{args}":
            arguments += _all_arguments(objective.args_style, params)
        elif all(name in values for name in names_in(word)):
            arguments.append(fill(word, values))
        elif before.startswith("-") and "=" not in before and not names_in(before):
            arguments.pop()  # the option of a param that has no value in this trial
        before = word
    return arguments


def _all_arguments(style: str, params: Params) -> list[str]:
    match style:
        case "space":
            pairs = [(f"--{name}", text_of(value)) for name, value in params.items()]
            return [word for pair in pairs for word in pair]
        case "equals":
            return [f"--{name}={text_of(value)}" for name, value in params.items()]
        case _:
            return [f"{name}={text_of(value)}" for name, value in params.items()]


def _environment(
    objective: CommandObjective,
    values: Mapping[str, str],
    place: TrialPlace,
    inherited: Mapping[str, str],
) -> dict[str, str]:
    # A program whose output is no terminal would keep its lines for minutes.
    defaults = {} if "PYTHONUNBUFFERED" in inherited else {"PYTHONUNBUFFERED": "1"}
    own = {name: _fill(text, values) for name, text in objective.env.items()}
    return {
        **defaults,
        **own,
        "TUNER_TRIAL": str(place.number),
        "TUNER_SEED": str(place.small_seed),
        "TUNER_STEP": str(place.step),
        "TUNER_DEVICE": place.device,
        "TUNER_TRIAL_DIR": str(place.trial_dir),
        "TUNER_CHECKPOINT_DIR": str(place.checkpoint_dir),
        REPORTS: str(place.reports),
    }


def _location(report: Report, values: Mapping[str, str], place: TrialPlace) -> str:
    """Return the path of the reports; in that of files, only the study file's own `*` matches."""
    if report.tensorboard is not None:
        return os.path.join(place.folder, _fill(report.location, values))
    escaped = {name: glob.escape(value) for name, value in values.items()}
    return os.path.join(glob.escape(str(place.folder)), _fill(report.location, escaped))


def _fill(text: str, values: Mapping[str, str]) -> str:
    """Fill in a text; a param without a value in this trial is empty."""
    return fill(text, {**dict.fromkeys(names_in(text), ""), **values})
