"""Exported trials as files: the text, and the weights next to it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from tuner.errors import RunFailed, UsageError
from tuner.export.best_config import Exported
from tuner.export.config_text import render_env, render_json, render_yaml
from tuner.export.files import write_whole
from tuner.study_file.best import FORMAT, Weights


class Format(StrEnum):
    """The form of an export."""

    YAML = "yaml"  # `tuner train` takes it
    JSON = "json"
    ENV = "env"  # variables of a shell


# Beginnings of files that may be overwritten; others may be the user's work.
_OURS = {
    Format.YAML: "# tuner",
    Format.JSON: f'{{\n  "format": "{FORMAT}"',
    Format.ENV: "TUNER_STUDY=",
}


@dataclass(frozen=True, kw_only=True)
class Written:
    exported: Exported
    path: Path
    weights: Path | None = None


def render(exported: Exported, form: Format) -> str:
    """Render the text of one trial."""
    match form:
        case Format.YAML:
            return render_yaml(exported.config, head=_head(exported))
        case Format.JSON:
            return render_json(exported.config)
        case Format.ENV:
            return render_env(exported.config)


def write_exports(trials: Sequence[Exported], path: Path, form: Format) -> list[Written]:
    """Write one file a trial: `best-1.yaml`, `best-2.yaml` for several in `best.yaml`.

    Raises `UsageError` if an existing file is no export, `RunFailed` if nothing can be written.
    Each file is complete or as it was before.
    """
    paths = [path] if len(trials) == 1 else [_numbered(path, n + 1) for n in range(len(trials))]
    for each in paths:
        _check_place(each, form)
    return [_write(trial, each, form) for trial, each in zip(trials, paths, strict=True)]


def _write(exported: Exported, path: Path, form: Format) -> Written:
    if exported.weights is None:
        write_whole(path, render(exported, form))
        return Written(exported=exported, path=path)
    # The weights first, under a name with their hash: a config never points to others.
    sha256 = exported.weights.sha256
    beside = path.with_name(f"{path.stem}.{sha256[:8]}.safetensors")
    write_whole(beside, exported.weights.content)
    weights = Weights(file=beside.name, sha256=sha256)
    config = exported.config.model_copy(update={"weights": weights})
    write_whole(path, render(replace(exported, config=config), form))
    return Written(exported=exported, path=path, weights=beside)


def _numbered(path: Path, place: int) -> Path:
    return path.with_name(f"{path.stem}-{place}{path.suffix}")


def _check_place(path: Path, form: Format) -> None:
    """Raise `UsageError` for a file that must not be replaced."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a file with -o, such as {path}/best.{form}")
    try:
        with path.open("rb") as file:
            begin = file.read(len(_OURS[form])).decode("utf-8", "replace")
    except FileNotFoundError:
        return
    except OSError as error:
        raise RunFailed(f"cannot look at {path} ({error.strerror})") from error
    if begin != _OURS[form]:
        raise UsageError(f"{path} exists and is not an export of tuner; name another file with -o")


def _head(exported: Exported) -> str:
    """Render the comment at the top of the file."""
    config, facts = exported.config, exported.config.provenance
    value = "" if exported.value is None else f", {config.metric} {exported.value:.6g}"
    so_far = ", the best so far: the study continues" if exported.is_so_far else ""
    lines = [
        f"tuner: trial {exported.number} of study {config.name}{value}{so_far}",
        f"of {facts['trials']['tried']} trials tried; final training: tuner train THIS_FILE",
    ]
    if config.needs_study_file:
        lines.append("the code and the files that `objective` names are relative to this file")
    return "\n".join(lines)
