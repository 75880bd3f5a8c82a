"""`module:name` or `path/file.py:name` of the user's own, checked without running any of it."""

import ast
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from tuner.study_file import not_yet
from tuner.study_file.faults import did_you_mean, listed, quote
from tuner.study_file.items import Item, read_option, read_text
from tuner.study_file.model import FunctionObjective, Objective, TrainerObjective
from tuner.study_file.yaml_nodes import MapNode, Node, ScalarNode

_FUNCTION = re.compile(r"[^\W\d]\w*")
_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
MAX_PATH = 255  # characters
MAX_BYTES = 2_000_000
_EXAMPLE = "write module:function or path/file.py:function"


_Definition = ast.FunctionDef | ast.AsyncFunctionDef
_Check = Callable[[_Definition, str], str]  # of a definition that stands there: what is wrong


def find_code_folder(path: Path, names: Iterable[str], files: Iterable[str] = ()) -> Path:
    """The folder that the code and the files named in a study file or config are relative to.

    It is the file's own; where `path` is a link, and they are not all beside it, its target's if
    they are all there.
    """
    beside = path.parent.absolute()
    modules = [name.rpartition(":")[0] for name in names]
    wanted = [*modules, *files]
    for folder in (beside, path.resolve().parent):
        if all(_is_in(folder, module) for module in wanted):
            return folder
    return beside


def _is_in(folder: Path, name: str) -> bool:
    """Whether a file, or the module of a dotted name, is in the folder; any text is looked for."""
    if "/" in name or os.path.isfile(folder / name):
        return os.path.isfile(folder / name)
    top = folder / name.partition(".")[0]
    return os.path.isdir(top) or os.path.isfile(f"{top}.py")


def names_of_code(objective: Objective) -> tuple[str, ...]:
    """The code of the user's that an objective names."""
    match objective:
        case FunctionObjective(function=function):
            return (function,)
        case TrainerObjective(model=model, loss=loss):
            return tuple(name for name in (model, loss) if name is not None and ":" in name)


def written_code(root: Node) -> tuple[str, ...]:
    """As `names_of_code`, of a whole file that nothing has checked yet."""
    entries = root.entries if isinstance(root, MapNode) else ()
    found: list[Node] = [node for key, node in entries if key.text == "objective"]
    for node in tuple(found):
        parts = node.entries if isinstance(node, MapNode) else ()
        found += [value for key, value in parts if key.text in ("model", "loss")]
    return tuple(n.text for n in found if isinstance(n, ScalarNode) and ":" in n.text)


def read_function(item: Item, text: str, folder: Path) -> FunctionObjective | None:
    """The objective as a function; a file of it is parsed, a module is left to the run."""
    _, colon, name = text.rpartition(":")
    if not colon or not _FUNCTION.fullmatch(name):
        item.fault(f"{quote(text)} names no function; {_EXAMPLE}, or a mapping with `data:`")
        return None
    is_right = _is_right(item, text, folder, _objective_fault)
    return FunctionObjective(function=text) if is_right else None


def read_model(item: Item, folder: Path) -> str | None:
    """`mlp`, or a callable that builds a module: a class may be one."""
    text = item.node.text if isinstance(item.node, ScalarNode) else ""
    if ":" not in text:
        return read_option(item, ("mlp", "module:callable"), not_yet.MODELS, "model")
    return _read_callable(item, text, folder, _model_fault)


def read_loss(item: Item, folder: Path) -> str | None:
    """A callable of outputs and labels."""
    text = read_text(item, "must name a callable of your own, such as losses.py:focal")
    if text is None:
        return None
    if ":" not in text:
        item.fault(
            f"{quote(text)} names no callable; write module:callable or path/file.py:callable, or "
            "remove it: cross-entropy or squared error follows from the data"
        )
        return None
    return _read_callable(item, text, folder, _loss_fault)


def _read_callable(item: Item, text: str, folder: Path, check: _Check) -> str | None:
    if not _FUNCTION.fullmatch(text.rpartition(":")[2]):
        item.fault(
            f"{quote(text)} names no callable; write module:callable or path/file.py:callable"
        )
        return None
    return text if _is_right(item, text, folder, check) else None


def _is_right(item: Item, text: str, folder: Path, check: _Check) -> bool:
    module, _, name = text.rpartition(":")
    if module.endswith(".py"):
        fault = _file_fault(folder, module, name, check)
    else:
        fault = "" if _MODULE.fullmatch(module) else f"{quote(module)} is no module; {_EXAMPLE}"
    if fault:
        item.fault(fault)
    return not fault


def _file_fault(folder: Path, name: str, function: str, check: _Check) -> str:
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
        return _function_fault(tree, name, function, check)
    except SyntaxError as error:
        return f"{name}:{error.lineno}: {error.msg}; mend the file"
    except (RecursionError, MemoryError):
        return f"{name} is nested too deeply to be read; simplify it"
    except (OSError, ValueError) as error:
        return f"{name} cannot be read ({error})"


def _function_fault(tree: ast.Module, name: str, function: str, check: _Check) -> str:
    functions = {node.name: node for node in tree.body if isinstance(node, _Definition)}
    if function in functions:
        return check(functions[function], name)
    if function in _other_names(tree) or _has_open_names(tree):
        return ""  # a class, an import, an assignment: the run will tell
    guess = did_you_mean(function, functions)
    found = guess or f"; functions there: {listed(functions) or 'none'}"
    return f"{name} has no function {quote(function)}{found}"


def _objective_fault(node: _Definition, name: str) -> str:
    return _arity_fault(node, name, f"def {node.name}(trial)", 1)


def _loss_fault(node: _Definition, name: str) -> str:
    return _arity_fault(node, name, f"def {node.name}(outputs, y)", 2)


def _model_fault(node: _Definition, name: str) -> str:
    """Which arguments it takes is its own affair: it gets those params that it names."""
    return _async_fault(node, name, f"def {node.name}(n_features, n_outputs)")


def _async_fault(node: _Definition, name: str, example: str) -> str:
    if isinstance(node, ast.AsyncFunctionDef):
        return f"{name}:{node.lineno}: {node.name} is async; write a plain `{example}`"
    return ""


def _arity_fault(node: _Definition, name: str, example: str, n: int) -> str:
    positional = [*node.args.posonlyargs, *node.args.args]
    n_required = len(positional) - len(node.args.defaults)
    n_keywords = sum(default is None for default in node.args.kw_defaults)
    has_room = len(positional) >= n or node.args.vararg
    if n_required <= n and has_room and not n_keywords:
        return _async_fault(node, name, example)
    arguments = "one argument" if n == 1 else "two arguments"
    return f"{name}:{node.lineno}: {node.name} must take {arguments}: {example}"


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
