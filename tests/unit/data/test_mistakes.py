"""What `tuner check` says of a table."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.data.tables import COLUMNS, opened, request, rows_of_churn, write_csv
from tuner.study.data_facts import DataFacts
from tuner.training.data.look import look_at

CHURN = {"csv": "churn.csv", "target": "churned", "drop": ["id"]}


def _look(folder: Path, source: Any = CHURN, **rules: Any) -> DataFacts:
    asked = request(folder, source, **rules)
    return look_at(opened(asked), asked)


def test_the_columns_are_described(tmp_path: Path) -> None:
    write_csv(tmp_path / "churn.csv", rows_of_churn())
    facts = _look(tmp_path, split={"by": {"time": "since"}})
    assert [(c.name, c.use, c.type, c.missing) for c in facts.columns] == [
        ("id", "dropped", "number", 0),
        ("age", "feature", "number", 9),
        ("plan", "feature", "category", 0),
        ("since", "feature", "date", 0),
        ("churned", "target", "category", 0),
    ]
    assert (facts.columns[2].distinct, facts.columns[0].example) == (3, "0")
    assert (facts.faults, facts.warnings) == ((), ())
    assert facts.summary.startswith("churn.csv: 60 rows, ")
    assert facts.summary.endswith("classification of 2 classes; 42 train, 9 validation, 9 test")


def test_every_fault_of_a_column_is_reported_with_the_table(tmp_path: Path) -> None:
    rows = [[*row, f"text {n}", "inf", ""] for n, row in enumerate(rows_of_churn())]
    write_csv(tmp_path / "churn.csv", rows, (*COLUMNS, "note", "far", "none"))
    facts = _look(tmp_path)
    assert len(facts.columns) == 8
    assert [fault.split("'")[1] for fault in facts.faults] == ["note", "far", "none"]
    assert facts.summary == ""


def test_the_table_of_a_callable_is_described(tmp_path: Path) -> None:
    asked = request(tmp_path, {"python": "d.py:load", "target": "y"})
    table = {"x": [*range(40)], "y": [0, 1] * 20}
    facts = look_at(opened(asked, lambda: table), asked)
    assert [column.name for column in facts.columns] == ["x", "y"]


def test_a_table_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "churn.csv").write_text("a,b\n1\n")
    facts = _look(tmp_path)
    assert facts.columns == ()
    assert facts.faults == ("churn.csv, line 2: 1 cells, and the header has 2",)


RNG = np.random.default_rng(1)
LABELS = [row[-1] for row in rows_of_churn(200)]
MISTAKES: dict[str, tuple[list[Any], str]] = {
    "constant": ([5] * 200, "column 'z' has the same value in all rows"),
    "ids": ([*range(7000, 7200)], "column 'z' has another value in almost every row"),
    "empty": ([1 if n % 3 == 0 else "" for n in range(200)], "'z' is missing in 66% of the rows"),
    "the target again": (
        ["A" if label == "yes" else "B" for label in LABELS],
        "column 'z' alone predicts the target almost perfectly",
    ),
    "a number that ranks it": (
        [(1 if label == "yes" else 0) + RNG.random() * 0.9 for label in LABELS],
        "column 'z' alone predicts the target almost perfectly",
    ),
    "few texts among numbers": (
        [f"{n // 2 % 50}?" if n % 20 == 1 else n // 2 % 50 for n in range(200)],
        "'z' holds numbers except for 10 values, and is taken for categories; `types: {z: number}`",
    ),
    "many texts among numbers": (
        [f"{n // 2 % 50}?" if n % 8 == 1 else n // 2 % 50 for n in range(200)],
        "",
    ),
    "noise": ([round(RNG.normal(), 2) for _ in LABELS], ""),
    "large whole numbers": ([int(RNG.integers(10**6)) for _ in LABELS], ""),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_likely_mistake_in_a_column_is_named(name: str, tmp_path: Path) -> None:
    values, sentence = MISTAKES[name]
    rows = [[*row, value] for row, value in zip(rows_of_churn(200), values, strict=True)]
    write_csv(tmp_path / "churn.csv", rows, (*COLUMNS, "z"))
    found = [warning for warning in _look(tmp_path).warnings if "'z'" in warning]
    assert [sentence in warning for warning in found] == [True] * bool(sentence)


def test_a_column_that_determines_a_number_is_named(tmp_path: Path) -> None:
    rows = [[x, np.exp(x) + 2, RNG.normal()] for x in RNG.normal(size=50)]
    write_csv(tmp_path / "churn.csv", rows, ("x", "y", "noise"))
    (warning,) = _look(tmp_path, {"csv": "churn.csv", "target": "y"}).warnings
    assert "column 'x' alone predicts" in warning


def test_repeated_rows_and_rare_classes_are_counted(tmp_path: Path) -> None:
    rows = rows_of_churn(100)
    rows += rows[:30]
    rows[0][-1] = rows[1][-1] = rows[2][-1] = "perhaps"
    write_csv(tmp_path / "churn.csv", rows)
    facts = _look(tmp_path, split={"by": "random"})
    repeated, rare = facts.warnings
    assert "30 of 130 rows repeat the features of another row" in repeated
    assert "also stand in the training rows" in repeated
    assert rare.startswith("1 of 3 classes have fewer than 10 rows")


def test_classes_without_training_rows_are_counted(tmp_path: Path) -> None:
    folds = ("train", "train", "validation", "test")
    rows = [
        [RNG.normal(), folds[n % 4], "rare" if n % 4 == 3 and n < 50 else "ab"[n // 4 % 2]]
        for n in range(200)
    ]
    write_csv(tmp_path / "churn.csv", rows, ("x", "fold", "y"))
    source = {"csv": "churn.csv", "target": "y"}
    (warning,) = _look(tmp_path, source, split={"by": {"column": "fold"}}).warnings
    assert warning.startswith("1 of 3 classes have no training row")


def test_texts_among_numbers_are_right_where_the_file_says_category(tmp_path: Path) -> None:
    values, _ = MISTAKES["few texts among numbers"]
    rows = [[*row, value] for row, value in zip(rows_of_churn(200), values, strict=True)]
    write_csv(tmp_path / "churn.csv", rows, (*COLUMNS, "z"))
    assert _look(tmp_path, {**CHURN, "types": {"z": "category"}}).warnings == ()
