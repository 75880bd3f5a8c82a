"""`objective: module:function` or `path/file.py:function`, checked without running any of it."""

import ast
import re
from pathlib import Path

from tuner.study_file.faults import did_you_mean, listed, quote
from tuner.study_file.items import Item
from tuner.study_file.model import FunctionObjective

_FUNCTION = re.compile(r"[^\W\d]\w*")
_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
MAX_PATH = 255  # characters
MAX_BYTES = 2_000_000
_EXAMPLE = "write module:function or path/file.py:function"


def read_function(item: Item, text: str, folder: Path) -> FunctionObjective | None:
    """The function of one's own; a file of it is parsed, a module is left to the run."""
    module, colon, function = text.rpartition(":")
    if not colon or not _FUNCTION.fullmatch(function):
        item.fault(f"{quote(text)} names no function; {_EXAMPLE}, or a mapping with `data:`")
        return None
    if module.endswith(".py"):
        fault = _file_fault(folder, module, function)
    else:
        fault = "" if _MODULE.fullmatch(module) else f"{quote(module)} is no module; {_EXAMPLE}"
    if fault:
        item.fault(fault)
        return None
    return FunctionObjective(function=text)


def _file_fault(folder: Path, name: str, function: str) -> str:
    """What is wrong with the file, or empty."""
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
        return _function_fault(tree, name, function)
    except SyntaxError as error:
        return f"{name}:{error.lineno}: {error.msg}; mend the file"
    except (RecursionError, MemoryError):
        return f"{name} is nested too deeply to be read; simplify it"
    except (OSError, ValueError) as error:
        return f"{name} cannot be read ({error})"


def _function_fault(tree: ast.Module, name: str, function: str) -> str:
    functions = {
        node.name: node
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    if function in functions:
        return _arity_fault(functions[function], name)
    if function in _other_names(tree) or _has_open_names(tree):
        return ""  # a class, an import, an assignment: the run will tell
    guess = did_you_mean(function, functions)
    found = guess or f"; functions there: {listed(functions) or 'none'}"
    return f"{name} has no function {quote(function)}{found}"


def _arity_fault(node: ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> str:
    where = f"{name}:{node.lineno}: {node.name}"
    if isinstance(node, ast.AsyncFunctionDef):
        return f"{where} is async; write a plain `def {node.name}(trial)`"
    positional = [*node.args.posonlyargs, *node.args.args]
    n_required = len(positional) - len(node.args.defaults)
    n_keywords = sum(default is None for default in node.args.kw_defaults)
    takes_one = n_required <= 1 and (positional or node.args.vararg) and not n_keywords
    return "" if takes_one else f"{where} must take one argument: def {node.name}(trial)"


def _other_names(tree: ast.Module) -> set[str]:
    """Names that the module's top level defines by other means than `def`."""
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
    """`from x import *`, or a definition inside `if` or `try`."""
    return any(
        isinstance(node, ast.If | ast.Try)
        or (isinstance(node, ast.ImportFrom) and any(a.name == "*" for a in node.names))
        for node in tree.body
    )
