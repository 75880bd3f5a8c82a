"""Checks of a custom model and loss before a study is created.

A failure here would fail every trial.
"""

import inspect
from collections.abc import Collection, Mapping
from typing import Any

from tuner.study.code import Code
from tuner.study.trial import ParamValue
from tuner.study_file.params.trainer_params import SHAPE_NAMES, TRAINER_PARAMS
from tuner.study_file.text.faults import did_you_mean, listed, quote
from tuner.study_file.text.yaml_text import render_inline
from tuner.training.modules.template import Build, arguments_of
from tuner.worker.bad_code import BadCode
from tuner.worker.kinds.trainer.models import load_loss, load_model
from tuner.worker.source_files import hash_sources


def look_at(own: Mapping[str, Any]) -> Code:
    """Import them, and compare the model's arguments with the study's params; raises `BadCode`."""
    if own["model"] is not None:
        build = load_model(own["model"], own["folder"])
        check_params(build, own["model"], own["params"], own["searched"])
    if own["loss"] is not None:
        load_loss(own["loss"], own["folder"])
    hashes: dict[str, str] = {}
    for name in filter(None, (own["data"], own["model"], own["loss"])):
        hashes |= hash_sources(name.rpartition(":")[0], own["folder"])
    return hashes


def check_params(
    build: Build, name: str, params: Mapping[str, ParamValue], searched: Collection[str]
) -> None:
    """Check that every param of the study has an effect; raises `BadCode` if one has none.

    The callable must take each param that is not the trainer's, and each argument that it requires
    must be given. A default of the callable that the trainer's default would replace is an error.
    """
    given = {*params, *searched}
    arguments = arguments_of(build)
    named = arguments.named
    for param in sorted(given - TRAINER_PARAMS.keys()):
        if param not in named and not arguments.takes_any:
            guess = did_you_mean(param, {*named, *TRAINER_PARAMS})
            takes = guess or f"; it takes {listed(sorted(named)) or 'nothing'}"
            raise BadCode(f"{name} takes no parameter {param}{takes}")
    # An exported config holds the defaults of all params.
    is_asked = "init" in searched or params.get("init") not in (
        None,
        TRAINER_PARAMS["init"].default,
    )
    if is_asked and "init" not in named:
        raise BadCode(f"init is for `mlp` and `cnn`, and {name} does not take it; remove it")
    for param, default in _defaults(build).items():
        if default is inspect.Parameter.empty:
            if param not in {*given, *TRAINER_PARAMS, *SHAPE_NAMES}:
                raise BadCode(f"{name} needs {param}; add it to params or to search_space")
        elif param in TRAINER_PARAMS and param not in given:
            trainers = TRAINER_PARAMS[param].default
            if default != trainers:
                raise BadCode(
                    f"{name} has {param}={quote(default)} of its own, but the trainer's "
                    f"{quote(trainers)} would count; write "
                    f"`params: {{{param}: {render_inline(default)}}}`"
                )


def _defaults(build: Build) -> dict[str, object]:
    """Return the defaults of the arguments that can be passed by name."""
    named = arguments_of(build).named
    if not named:
        return {}
    parameters = inspect.signature(build).parameters
    return {name: parameters[name].default for name in parameters if name in named}
