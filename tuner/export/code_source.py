"""The folder of the user's code, chosen by a file on this machine alone.

Write access to rows, or a config sent by mail, must not decide which code is imported here.
"""

import pkgutil
import sys
from collections.abc import Collection, Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path

from tuner.errors import StudyMismatch, UsageError
from tuner.study_file.best import BestConfig
from tuner.study_file.identity import render_objective, with_local_keys
from tuner.study_file.load import load_study_file
from tuner.study_file.model import StudySpec


def folder_of_code(spec: StudySpec, path: Path | None, command: str) -> Path:
    """Return the folder for names of the user's code: that of the study file which has them.

    `command` is one that names the file, for the message. Raises `UsageError` without such a file,
    `StudyMismatch` for one with another objective.
    """
    if path is None:
        if spec.needs_study_file:
            what, chosen = spec.objective.local_use
            raise UsageError(
                f"study {spec.name!r} {what}, and a database may not choose {chosen} here: name "
                f"the study file that has the same objective ({command})"
            )
        return Path.cwd()
    loaded = load_study_file(path)
    if loaded.spec.objective.identity() != spec.objective.identity():
        raise StudyMismatch(
            f"{path} has another objective than study {spec.name!r}: "
            f"{render_objective(loaded.spec)}, not {render_objective(spec)}"
        )
    return loaded.folder


def take_local_keys(spec: StudySpec, path: Path | None) -> StudySpec:
    """Return a stored spec with the keys that only a study file of this machine sets.

    Without a file they have their defaults.
    """
    return spec if path is None else with_local_keys(spec, load_study_file(path).spec)


def check_code(config: BestConfig, folder: Path, allowed: Collection[str]) -> None:
    """Raise `UsageError` for code that a config names and that is not below its folder.

    Nothing is imported. Links are followed first. `allowed`: modules that may be elsewhere. Imports
    in a file below the folder are not checked.
    """
    for name in config.objective.code_names:
        module = name.rpartition(":")[0]
        if module not in allowed and not _is_below(module, folder.resolve()):
            raise UsageError(
                f"the config names {name}, which is no file below its folder; if you trust it, "
                f"add --allow-code {module}"
            )


def check_command(config: BestConfig, *, is_allowed: bool) -> None:
    """Raise `UsageError` for a config that runs a command, unless the user allows it."""
    line = config.objective.command_line
    if line is not None and not is_allowed:
        raise UsageError(
            f"the config runs a command of its own: {line}; if you trust it, add --allow-command"
        )


def _is_below(module: str, folder: Path) -> bool:
    if module.endswith(".py"):
        file = (folder / module).resolve()
        return file.is_file() and file.is_relative_to(folder)
    top = module.partition(".")[0]
    loaded = sys.modules.get(top)
    if loaded is not None and not _lies_below(loaded.__spec__, folder):
        return False  # an import would find that one, whatever the folder holds
    if top in sys.builtin_module_names or top in sys.stdlib_module_names:
        return False
    found = list(_specs(module, folder))
    return bool(found) and all(_lies_below(spec, folder) for spec in found)


def _specs(module: str, folder: Path) -> Iterator[ModuleSpec | None]:
    """Yield the specs of a module's packages and its own, as an import in the folder finds them."""
    places: Collection[str] = [str(folder)]
    name = ""
    for part in module.split("."):
        name = f"{name}.{part}" if name else part
        finders = (pkgutil.get_importer(place) for place in places)
        found = (finder.find_spec(name) for finder in finders if finder is not None)
        spec = next((spec for spec in found if spec is not None), None)
        yield spec
        if spec is None:
            return
        places = spec.submodule_search_locations or []


def _lies_below(spec: ModuleSpec | None, folder: Path) -> bool:
    if spec is None:
        return False
    files = [spec.origin] if spec.has_location else list(spec.submodule_search_locations or ())
    return bool(files) and all(
        file is not None and Path(file).resolve().is_relative_to(folder) for file in files
    )
