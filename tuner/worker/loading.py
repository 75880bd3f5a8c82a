"""Loading of the user's code: `module:name` or `path/file.py:name`."""

import importlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from tuner.training.fatal_errors import is_our_interrupt
from tuner.worker.bad_code import BadCode
from tuner.worker.faults import in_words
from tuner.worker.forks import ForkedEnd, ending_forks
from tuner.worker.program import begin_program, find_module_file, search_first

_HERE = f"{Path(__file__).parents[1]}{os.sep}"  # the package's own folder


def load_callable(
    name: str, folder: str, *, n_arguments: int | None = None, example: str = ""
) -> Callable[..., Any]:
    """Return the callable `name`, relative to the study file's folder.

    With `n_arguments` None it may take any arguments. The module's folder comes first in the search
    path, as for a script. Raises `BadCode`, also for any error that the user's module raises during
    its import, with the last frame.
    """
    function = find_callable(name, folder, n_arguments=n_arguments, example=example)
    if function is None:
        module_name, _, function_name = name.rpartition(":")
        found = ", ".join(_functions_of(_import_module(module_name, folder, function_name)))
        raise BadCode(
            f"{module_name} has no function {function_name}; functions there: {found or 'none'}"
        )
    return function


def find_callable(
    name: str, folder: str, *, n_arguments: int | None = None, example: str = ""
) -> Callable[..., Any] | None:
    """Return the callable like `load_callable`; None if the module has none of that name."""
    module_name, _, function_name = name.rpartition(":")
    function = getattr(_import_module(module_name, folder, function_name), function_name, None)
    if not callable(function):
        return None
    if n_arguments is not None:
        _check_arity(function, function_name, n_arguments, example)
    return function  # type: ignore[no-any-return]


def _import_module(module_name: str, folder: str, function_name: str) -> ModuleType:
    try:
        with ending_forks():
            return _load_module(module_name, folder)
    except (BadCode, ForkedEnd):
        raise
    except BaseException as error:
        if is_our_interrupt(error):
            raise
        if _needs_package(error, module_name):
            raise BadCode(_without_package(module_name, function_name)) from error
        place = last_user_frame(error.__traceback__)
        at = f" ({place})" if place and not isinstance(error, SyntaxError) else ""
        raise BadCode(f"importing {module_name} failed: {in_words(error)}{at}") from error


def _needs_package(error: BaseException, module_name: str) -> bool:
    """Return whether the error comes from `from . import x` in a file loaded by its path."""
    is_relative = isinstance(error, ImportError) and "no known parent package" in str(error)
    return is_relative and module_name.endswith(".py")


def _without_package(module_name: str, function_name: str) -> str:
    parts = module_name.removesuffix(".py").split("/")
    is_package = len(parts) > 1 and all(part.isidentifier() for part in parts)
    advice = f"write {'.'.join(parts)}:{function_name}" if is_package else "import it by its name"
    return f"{module_name} has a relative import, and a file alone belongs to no package; {advice}"


def _load_module(name: str, folder: str) -> ModuleType:
    if not name.endswith(".py"):
        search_first(folder)
        begin_program(find_module_file(name))
        return importlib.import_module(name)
    path = Path(folder, name)
    if not path.is_file():
        raise BadCode(f"there is no file {path}")
    search_first(str(path.resolve().parent))  # a link's target has its own neighbours
    search_first(str(path.parent))
    begin_program(str(path))
    loaded = sys.modules.get(path.stem)
    if loaded is not None and getattr(loaded, "__file__", None) == str(path):
        return loaded  # a model and its loss may stand in one file
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # for pickle, multiprocessing and dataclasses
    spec.loader.exec_module(module)
    return module


def _functions_of(module: ModuleType) -> list[str]:
    own = vars(module).items()
    return [n for n, v in own if inspect.isfunction(v) and v.__module__ == module.__name__]


def _check_arity(function: Callable[..., Any], name: str, n: int, example: str) -> None:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return  # written in C: only a call shows it
    try:
        signature.bind(*[object()] * n)
    except TypeError:
        arguments = ("no argument", "one argument", "two arguments")[n]
        wanted = f"must take {arguments}: def {name}({example})"
        raise BadCode(f"{name}{signature} {wanted}") from None


def last_user_frame(frames: TracebackType | None) -> str:
    """Return the innermost frame of the user's code: `train.py:12 in train`."""
    own = [
        frame
        for frame in traceback.extract_tb(frames)
        if not frame.filename.startswith((_HERE, "<frozen")) and not _is_library(frame.filename)
    ]
    return f"{Path(own[-1].filename).name}:{own[-1].lineno} in {own[-1].name}" if own else ""


def _is_library(filename: str) -> bool:
    return "site-packages" in filename or filename.startswith((sys.base_prefix + "/lib", "<"))
