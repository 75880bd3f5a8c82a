"""A best config as text: YAML for `tuner train`, JSON for programs, variables for a shell."""

import json
import shlex
from collections.abc import Mapping
from typing import Any

from tuner.errors import UsageError
from tuner.study.secrets import redact
from tuner.study_file.best import FORMAT, BestConfig
from tuner.study_file.text.yaml_text import render_inline, render_text

_COMMENTS = {
    "params": "all of them: fixed and searched",
    "seed": "seeds weights and dropout",
    "data_seed": "seeds the order of the rows",
    "best_epoch": "the one with the best validation value",
    "processes_per_trial": "started by torchrun",
    "weights": "the trial's own, in a file next to this one",
}


def config_values(config: BestConfig) -> dict[str, Any]:
    """Return the config as plain values, in the order of the file."""
    n_ranks = config.processes_per_trial
    values: dict[str, Any] = {
        "format": FORMAT,
        "name": config.name,
        "objective": config.objective.written(),
        str(config.direction): config.metric,
        "params": dict(config.params),
        "seed": config.seed,
        "data_seed": config.data_seed,
        "best_epoch": config.best_epoch,
        "processes_per_trial": config.processes_per_trial
        if config.processes_per_trial > 1
        else None,
        "weights": config.weights.model_dump() if config.weights else None,
        "provenance": dict(config.provenance),
    }
    return {key: value for key, value in values.items() if value is not None}


def render_yaml(config: BestConfig, *, head: str) -> str:
    """Render YAML for people and for `tuner train`."""
    lines = [f"# {_printable(line)}" for line in head.splitlines()]
    for key, value in config_values(config).items():
        comment = f"  # {_COMMENTS[key]}" if key in _COMMENTS else ""
        lines += _entry(key, value, 0, comment)
    return redact("\n".join(lines) + "\n")


def _printable(line: str) -> str:
    """Replace control characters, which YAML forbids even in comments."""
    return "".join(c if c.isprintable() else "\ufffd" for c in line)


def render_json(config: BestConfig) -> str:
    return redact(json.dumps(config_values(config), indent=2, allow_nan=False) + "\n")


def render_env(config: BestConfig) -> str:
    """Render it for `set -a; . best.env`: each param with a prefix, so that none can be PATH.

    Raises `UsageError` if two params would have the same name.
    """
    facts = {"TUNER_STUDY": config.name, "TUNER_SEED": config.seed}
    facts |= {f"TUNER_{key.upper()}": config.provenance.get(key) for key in ("trial", "value")}
    for name, value in config.params.items():
        if _variable(name) in facts:
            raise UsageError(
                f"two params are {_variable(name)} in a shell: names with a dot and with two "
                "underscores; export them with --format json"
            )
        facts[_variable(name)] = value
    return redact("".join(f"{name}={shlex.quote(_word(v))}\n" for name, v in facts.items()))


def _variable(param: str) -> str:
    """Return the variable's name without dots; `a.b` must not become the name of `a_b`."""
    return f"PARAM_{param.replace('.', '__')}"


def _word(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case _:
            return str(value)


def _entry(key: str, value: Any, depth: int, comment: str = "") -> list[str]:
    margin = "  " * depth
    name = render_text(key)
    if isinstance(value, Mapping) and value and not _fits(value, depth):
        children = [line for k, v in value.items() for line in _entry(str(k), v, depth + 1)]
        return [f"{margin}{name}:{comment}", *children]
    return [f"{margin}{name}: {render_inline(value)}{comment}"]


def _fits(value: Mapping[str, Any], depth: int) -> bool:
    """Return whether a mapping is written in one line: a small, flat one below the first level."""
    is_flat = not any(isinstance(part, Mapping) for part in value.values())
    return depth > 0 and is_flat and len(render_inline(value)) < 80
