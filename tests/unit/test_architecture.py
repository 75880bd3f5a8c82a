"""The rules of the house that a test can hold: sizes, cycles, docstrings, what an import loads."""

import argparse
import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import grimp
import pytest

from tuner.cli.parser.build import build_parser
from tuner.study.trial import TrialState

ROOT = Path(__file__).parents[2]
MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 60

HEAVY = {"torch", "optuna", "sqlalchemy", "psycopg2", "pydantic", "plotly", "sklearn", "numpy"}


def _files() -> list[Path]:
    return sorted((ROOT / "tuner").rglob("*.py"))


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text())


def _name(file: Path) -> str:
    return str(file.relative_to(ROOT))


def _functions(file: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(_tree(file)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_no_module_is_over_400_lines():
    lengths = {_name(file): len(file.read_text().splitlines()) for file in _files()}
    assert len(lengths) > 50
    assert {name: n for name, n in lengths.items() if n > MAX_MODULE_LINES} == {}


def test_no_function_is_over_60_lines():
    long = [
        f"{_name(file)}:{function.lineno} {function.name}"
        for file in _files()
        for function in _functions(file)
        if (function.end_lineno or 0) - function.lineno + 1 > MAX_FUNCTION_LINES
    ]
    assert long == []


def test_no_imports_go_in_a_circle():
    """Lazy imports and those for types count as well."""
    graph = grimp.build_graph("tuner", cache_dir=None)
    modules = graph.find_descendants("tuner")
    assert "tuner.run_study" in modules
    # A module lies on a circle when what it imports leads back to it.
    circles = [
        " -> ".join(chain)
        for module in sorted(modules)
        for imported in sorted(graph.find_modules_directly_imported_by(module))
        if (chain := graph.find_shortest_chain(imported, module)) is not None
    ]
    assert circles == []


def _docstrings(file: Path) -> Iterator[tuple[str, str, str]]:
    """(place, name, docstring) of the module and of what it defines."""
    for node in ast.walk(_tree(file)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            name = getattr(node, "name", file.stem)
            text = ast.get_docstring(node)
            if text is not None:
                yield f"{_name(file)}:{getattr(node, 'lineno', 1)} {name}", name, text


def _adds_nothing(name: str, text: str) -> bool:
    """Whether a docstring repeats the name, or is too short to say anything."""
    if re.search(r"[`(\[]", text):  # a format, a formula, a shape
        return False
    words = re.findall(r"[a-z]+", text.lower())
    known = {*re.findall(r"[a-z]+", name.lower()), "a", "an", "the", "of", "this", "its"}
    return len(words) < 3 or set(words) <= known


def test_every_module_has_a_docstring():
    assert [_name(file) for file in _files() if ast.get_docstring(_tree(file)) is None] == []


def test_docstrings_say_more_than_the_name():
    found = [
        place
        for file in _files()
        for place, name, text in _docstrings(file)
        if _adds_nothing(name, text)
    ]
    assert found == []


def _parsed_commands(parser: argparse.ArgumentParser | None = None) -> Iterator[Any]:
    for action in (parser or build_parser())._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                defaults = argparse.Namespace(**command._defaults)
                yield from [defaults] if hasattr(defaults, "module") else []
                yield from _parsed_commands(command)


def _loaded(code: str) -> set[str]:
    output = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return set(output.splitlines()[-1].split())


def test_importing_tuner_loads_nothing_heavy():
    loaded = _loaded("import tuner")
    assert "tuner" in loaded
    assert loaded & HEAVY == set()


@pytest.mark.parametrize("command", [[], ["run"], ["status"], ["extend"], ["db"]])
def test_help_loads_the_parser_and_little_else(command):
    loaded = _loaded(
        "from tuner.cli.main import main\n"
        f"try: main({[*command, '--help']!r})\n"
        "except SystemExit: pass"
    )
    assert loaded & HEAVY == set()
    ours = {name for name in loaded if name.split(".")[0] == "tuner"}
    assert ours == {
        "tuner",
        "tuner.errors",
        "tuner.signals",
        *(f"tuner.cli{module}" for module in ("", ".main", ".streams", ".terminal")),
        "tuner.cli.parser",
        *(
            f"tuner.cli.parser.{name}"
            for name in (
                "arguments",
                "build",
                "command",
                "control",
                "db",
                "reading",
                "shipping",
                "study_files",
            )
        ),
    }
    assert len(loaded) < 180


def test_every_module_of_commands_executes_a_command_of_the_parser():
    folder = ROOT / "tuner" / "cli" / "commands"
    assert {options.module for options in _parsed_commands()} == {
        f"tuner.cli.commands.{file.stem}" for file in folder.glob("[!_]*.py")
    }


def test_our_own_modules_are_imported_by_statements():
    """A name in a string is seen by neither mypy nor import-linter."""
    hidden = [
        f"{_name(file)}:{node.lineno}"
        for file in _files()
        for node in ast.walk(_tree(file))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith("import_module")
        and "tuner." in ast.unparse(node)
    ]
    assert hidden == []


def _literal_states(file: Path) -> Iterator[str]:
    """Where a state of a trial is a string; SQL, files for people and docstrings are not code."""
    if file.suffix == ".html":
        code = " ".join(re.findall(r"{%.*?%}|{{.*?}}", file.read_text(), re.S))
        yield from re.findall(rf"""["']({"|".join(TrialState)})["']""", code)
        return
    for node in ast.walk(_tree(file)):
        if isinstance(node, ast.Constant) and node.value in set(TrialState):
            yield f"{node.lineno} {node.value}"


def test_a_state_of_a_trial_is_a_member_of_the_enum():
    enum = ROOT / "tuner" / "study" / "trial.py"
    assert len(list(_literal_states(enum))) == len(TrialState)
    files = [*_files(), *(ROOT / "tuner").rglob("templates/**/*.html")]
    found = [
        f"{_name(file)}:{at}" for file in files if file != enum for at in _literal_states(file)
    ]
    assert found == []


def test_an_agent_loads_no_torch():
    loaded = _loaded("import tuner.run_study")
    assert "optuna" in loaded
    assert "torch" not in loaded


def test_the_architecture_page_names_only_files_that_exist():
    page = (ROOT / "tuner" / "README.md").read_text()
    named = set(re.findall(r"`([\w/]+(?:\.py|\.sql|/))`", page))
    assert len(named) > 15
    folders = (ROOT / "tuner", ROOT)
    assert {name for name in named if not any((at / name).exists() for at in folders)} == set()


def test_the_architecture_page_lists_the_layers_of_the_linter():
    page = (ROOT / "tuner" / "README.md").read_text()
    rows = re.findall(r"^\| (`.*?) \| ", page.split("## Layers")[1].split("\n## ")[0], re.M)
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (layers,) = (c["layers"] for c in contracts["contracts"] if c["type"] == "layers")
    assert [set(re.findall(r"`(\w+)`", row)) for row in rows] == [
        set(layer.split(" | ")) for layer in layers
    ]
