"""Every layer knows every kind of objective, and no other code asks which kind one is."""

import ast
import re
from pathlib import Path

import pytest

from tuner.export.kinds.table import FINAL_TRAININGS
from tuner.study_file.data.sources import SklearnData
from tuner.study_file.kinds.command.objective import CommandObjective
from tuner.study_file.kinds.function import FunctionObjective
from tuner.study_file.kinds.objective import ObjectiveKind
from tuner.study_file.kinds.table import KINDS
from tuner.study_file.kinds.trainer import TrainerObjective
from tuner.worker.kinds.table import PREPARATIONS, TRAININGS

ROOT = Path(__file__).parents[2] / "tuner"
LAYERS = ("study_file", "worker", "export")
EXAMPLES = {
    "trainer": TrainerObjective(data=SklearnData(sklearn="digits"), model="net.py:net"),
    "function": FunctionObjective(function="train.py:train"),
    "command": CommandObjective(command=("python", "main.py", "{args}")),
}


def _names() -> list[str]:
    return [kind.spec.kind for kind in KINDS]


def test_every_table_has_every_kind() -> None:
    assert len(set(_names())) == len(_names())
    for table in (TRAININGS, PREPARATIONS, FINAL_TRAININGS, EXAMPLES):
        assert sorted(table) == sorted(_names())


@pytest.mark.parametrize("layer", LAYERS)
def test_a_kind_has_one_part_of_its_name_in_every_layer(layer: str) -> None:
    folder = ROOT / layer / "kinds"
    parts = {path.stem for path in folder.iterdir() if not path.name.startswith("_")}
    assert set(_names()) <= parts


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_parts_can_be_loaded(name: str) -> None:
    assert callable(TRAININGS[name]().build)
    assert callable(PREPARATIONS[name]())
    assert callable(FINAL_TRAININGS[name]())


@pytest.mark.parametrize("kind", KINDS, ids=_names())
def test_the_record_answers_what_other_layers_ask(kind: ObjectiveKind, tmp_path: Path) -> None:
    objective = EXAMPLES[kind.spec.kind]
    assert isinstance(objective, kind.spec)
    assert objective.local_names
    assert objective.max_lanes >= 1
    assert objective.n_steps({"epochs": 7}) == 7
    assert objective.complete({"epochs": 7})["epochs"] == 7
    request = objective.preparation({"epochs": 7}, {}, tmp_path)
    assert str(tmp_path) in str(request)
    assert kind.schema()


def test_nothing_outside_the_kinds_asks_for_the_kind() -> None:
    types = {kind.spec.__name__ for kind in KINDS}
    words = re.compile("|".join(rf"\b{name}\b" for name in types))
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)[:60]}"
        for path in ROOT.rglob("*.py")
        if "kinds" not in path.parts
        for node in ast.walk(ast.parse(path.read_text()))
        if _asks(node, words)
    ]
    assert found == []


def _asks(node: ast.AST, types: re.Pattern[str]) -> bool:
    """`isinstance(x, FunctionObjective)`, `case TrainerObjective():`, `kind == "function"`."""
    if isinstance(node, ast.Call | ast.MatchClass):
        return bool(types.search(ast.unparse(node)))
    if isinstance(node, ast.Compare):
        text = ast.unparse(node)
        names = [kind.spec.kind for kind in KINDS]
        return any(re.search(rf"kind (==|!=|in) .*'{name}'", text) for name in names)
    return False
