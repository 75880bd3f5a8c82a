"""The user's `module:name` or `path/file.py:name`, checked without running any of it."""

import ast
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from tuner.study_file.text.faults import did_you_mean, listed, quote
from tuner.study_file.text.items import Item
from tuner.study_file.text.yaml_nodes import Node, ScalarNode

FUNCTION_NAME = re.compile(r"[^\W\d]\w*")
_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
MAX_PATH = 255  # characters
MAX_BYTES = 2_000_000
EXAMPLE = "write module:function or path/file.py:function"


Definition = ast.FunctionDef | ast.AsyncFunctionDef
Check = Callable[[Definition, str], str]  # (definition, file) -> its fault, or ""


def is_code_name(text: str) -> bool:
    """Return whether a text names code of the user instead of something built in."""
    return ":" in text


def written_code_names(nodes: Iterable[Node]) -> tuple[str, ...]:
    """Return the names of code in values that are not checked yet."""
    return tuple(n.text for n in nodes if isinstance(n, ScalarNode) and is_code_name(n.text))


def find_code_folder(path: Path, names: Iterable[str], files: Iterable[str] = ()) -> Path:
    """Return the folder to which code and files named in a study file or config are relative.

    It is the file's own. If `path` is a link and not all of them are next to it, it is the folder
    of the link's target if they are all there.
    """
    beside = path.parent.absolute()
    modules = [name.rpartition(":")[0] for name in names]
    wanted = [*modules, *files]
    for folder in (beside, path.resolve().parent):
        if all(_is_in(folder, module) for module in wanted):
            return folder
    return beside


def _is_in(folder: Path, name: str) -> bool:
    """Return whether a file, or the module of a dotted name, is in the folder."""
    if "/" in name or os.path.isfile(folder / name):
        return os.path.isfile(folder / name)
    top = folder / name.partition(".")[0]
    return os.path.isdir(top) or os.path.isfile(f"{top}.py")


def read_callable(item: Item, text: str, folder: Path, check: Check) -> str | None:
    """Read the name of a callable; report a fault if there is none."""
    if not FUNCTION_NAME.fullmatch(text.rpartition(":")[2]):
        item.fault(
            f"{quote(text)} names no callable; write module:callable or path/file.py:callable"
        )
        return None
    return text if is_right(item, text, folder, check) else None


def is_right(item: Item, text: str, folder: Path, check: Check) -> bool:
    """Check a file by parsing it; a module is checked by the run."""
    module, _, name = text.rpartition(":")
    if module.endswith(".py"):
        fault = _file_fault(folder, module, name, check)
    else:
        fault = "" if _MODULE.fullmatch(module) else f"{quote(module)} is no module; {EXAMPLE}"
    if fault:
        item.fault(fault)
    return not fault


def _file_fault(folder: Path, name: str, function: str, check: Check) -> str:
    """Return the fault of the file, or nothing."""
    path = folder / name
    if Path(name).is_absolute():
        return f"{quote(name)} is a path of one machine; write it relative to the study file"
    if len(name) > MAX_PATH or not path.is_file():
        near = sorted(str(file.relative_to(folder)) for file in path.parent.glob("*.py"))[:5]
        found = f"; found {listed(near)}" if near else f"; there is no Python file in {path.parent}"
        return f"there is no file {path}{found}"
    if path.stat().st_size > MAX_BYTES:
        return f"{name} is larger than {MAX_BYTES:,} bytes; put the function into a file of its own"
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
        return _function_fault(tree, name, function, check)
    except SyntaxError as error:
        return f"{name}:{error.lineno}: {error.msg}; fix the file"
    except (RecursionError, MemoryError):
        return f"{name} is nested too deeply to be read; simplify it"
    except (OSError, ValueError) as error:
        return f"{name} cannot be read ({error})"


def _function_fault(tree: ast.Module, name: str, function: str, check: Check) -> str:
    functions = {node.name: node for node in tree.body if isinstance(node, Definition)}
    if function in functions:
        return check(functions[function], name)
    if function in _other_names(tree) or _has_open_names(tree):
        return ""  # a class, an import, an assignment: only the run can check it
    guess = did_you_mean(function, functions)
    found = guess or f"; functions there: {listed(functions) or 'none'}"
    return f"{name} has no function {quote(function)}{found}"


def async_fault(node: Definition, name: str, example: str) -> str:
    """Return the fault of an async definition, or nothing."""
    if isinstance(node, ast.AsyncFunctionDef):
        return f"{name}:{node.lineno}: {node.name} is async; write a plain `{example}`"
    return ""


def arity_fault(node: Definition, name: str, example: str, n: int) -> str:
    """Return the fault of a definition that must take `n` positional arguments, or nothing."""
    positional = [*node.args.posonlyargs, *node.args.args]
    n_required = len(positional) - len(node.args.defaults)
    n_keywords = sum(default is None for default in node.args.kw_defaults)
    has_room = len(positional) >= n or node.args.vararg
    if n_required <= n and has_room and not n_keywords:
        return async_fault(node, name, example)
    arguments = ("no argument", "one argument", "two arguments")[n]
    return f"{name}:{node.lineno}: {node.name} must take {arguments}: {example}"


def _other_names(tree: ast.Module) -> set[str]:
    """Return the names that the module's top level defines by other means than `def`."""
    return {
        *(node.name for node in tree.body if isinstance(node, ast.ClassDef)),
        *(node.id for node in ast.walk(tree) if isinstance(node, ast.Name)),
        *(
            (alias.asname or alias.name).split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        ),
    }


def _has_open_names(tree: ast.Module) -> bool:
    """Return whether there is a `from x import *`, or a definition inside `if` or `try`."""
    return any(
        isinstance(node, ast.If | ast.Try)
        or (isinstance(node, ast.ImportFrom) and any(a.name == "*" for a in node.names))
        for node in tree.body
    )
