"""Which rows train, validate and test, by every rule."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.data.tables import load_table, write_csv
from tuner.study_file.data.split import SplitRule
from tuner.training.data.source import BadData
from tuner.training.data.split import split_rows
from tuner.training.data.table import Table

HEADER = ("customer", "since", "fold", "x", "churned")
HEADER_G = ("customer", "x", "churned")


def _rows(n_rows: int = 200) -> list[list[Any]]:
    rng = np.random.default_rng(2)
    folds = ["train", "Train ", "valid", "test"]
    return [
        [
            f"c{rng.integers(40)}",
            f"2024-{rng.integers(1, 13):02d}-{rng.integers(1, 29):02d}",
            folds[number % 4],
            round(float(rng.normal()), 3),
            "yes" if rng.random() < 0.2 else "no",
        ]
        for number in range(n_rows)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("split")
    write_csv(folder / "a.csv", _rows(), HEADER)
    test = [[f"new {row[0]}", *row[1:]] for row in _rows(30)]
    write_csv(folder / "test.csv", test, HEADER)
    return folder


def _split(folder: Path, **rule: Any) -> tuple[Table, dict[str, Any]]:
    source = {"csv": "a.csv", "target": "churned"}
    table = load_table(folder, source, split=rule)
    return table, split_rows(table, SplitRule.model_validate(rule))


RULES: list[dict[str, Any]] = [
    {},
    {"by": "random", "seed": 4},
    {"by": {"group": "customer"}},
    {"by": {"time": "since"}},
    {"by": {"column": "fold"}},
    {"test": {"csv": "test.csv"}},
    {"test": {"csv": "test.csv"}, "by": {"group": "customer"}},
    {"test": {"csv": "test.csv"}, "by": {"column": "fold"}},
]


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_every_row_is_in_one_split(rule: dict[str, Any], folder: Path) -> None:
    table, rows = _split(folder, **rule)
    assert list(rows) == ["train", "validation", "test"]
    assert np.array_equal(np.sort(np.concatenate([*rows.values()])), np.arange(table.n_rows))
    _, again = _split(folder, **rule)
    assert all(np.array_equal(rows[name], again[name]) for name in rows)


def test_classes_keep_their_share(folder: Path) -> None:
    table, rows = _split(folder, validation=0.25, test=0.25)
    shares = [table.target.values_N[index].mean() for index in rows.values()]
    assert np.ptp(shares) < 0.02
    assert [len(index) for index in rows.values()] == [100, 50, 50]


def test_a_group_is_in_one_split(folder: Path) -> None:
    table, rows = _split(folder, by={"group": "customer"}, test=0.2, validation=0.2)
    assert table.split_by is not None
    groups = [set(table.split_by.values_N[index].tolist()) for index in rows.values()]
    assert sum(map(len, groups)) == len(set.union(*groups))
    assert "customer" not in {column.name for column in table.columns}
    assert all(0.1 < len(index) / table.n_rows < 0.7 for index in rows.values())


def test_the_latest_rows_are_tested_and_those_before_them_validate(folder: Path) -> None:
    table, rows = _split(folder, by={"time": "since"})
    assert table.split_by is not None
    days = [table.split_by.values_N[index] for index in rows.values()]
    assert days[0].max() <= days[1].min() <= days[1].max() <= days[2].min()
    assert "since" in {column.name for column in table.columns}


def test_a_column_decides(folder: Path) -> None:
    table, rows = _split(folder, by={"column": "fold"})
    assert {name: len(index) for name, index in rows.items()} == {
        "train": 100,
        "validation": 50,
        "test": 50,
    }
    assert "fold" not in {column.name for column in table.columns}


def test_the_rows_of_a_test_file_are_the_test_rows(folder: Path) -> None:
    _, rows = _split(folder, test={"csv": "test.csv"})
    assert rows["test"].tolist() == list(range(200, 230))
    assert len(rows["validation"]) == 30


def test_a_test_file_adds_to_the_rows_that_a_column_marks(folder: Path) -> None:
    table, rows = _split(folder, test={"csv": "test.csv"}, by={"column": "fold"})
    assert len(rows["test"]) == 50 + 30
    assert rows["test"][-30:].tolist() == list(range(200, table.n_rows))


def test_a_group_in_both_files_is_refused(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", _rows(), HEADER)
    test = [["c1", *row[1:]] for row in _rows(20)] + [["new", *row[1:]] for row in _rows(10)]
    write_csv(tmp_path / "test.csv", test, HEADER)
    with pytest.raises(BadData, match="1 groups of the test file are also in the other rows"):
        _split(tmp_path, test={"csv": "test.csv"}, by={"group": "customer"})


@pytest.mark.parametrize("seed", range(3))
def test_the_share_of_groups_of_many_sizes_is_one_of_rows(seed: int, tmp_path: Path) -> None:
    sizes = [200, 100, 50, *[10] * 30, *[2] * 30]
    groups = [f"g{number}" for number, size in enumerate(sizes) for _ in range(size)]
    write_csv(tmp_path / "a.csv", [[g, n, "yn"[n % 2]] for n, g in enumerate(groups)], HEADER_G)
    _, rows = _split(tmp_path, by={"group": "customer"}, seed=seed, validation=0.2, test=0.2)
    shares = [len(rows[name]) / len(groups) for name in ("validation", "test")]
    assert shares == pytest.approx([0.2, 0.2], abs=0.04)


def test_numbers_are_no_words_of_a_split(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", [[n % 3, n, "yn"[n % 2]] for n in range(40)], HEADER_G)
    with pytest.raises(BadData, match="'customer' is no text; it must hold the words train, "):
        _split(tmp_path, by={"column": "customer"})


def test_another_seed_draws_other_rows(folder: Path) -> None:
    assert not np.array_equal(_split(folder)[1]["test"], _split(folder, seed=1)[1]["test"])


@pytest.mark.parametrize("answers", ["yn", "y"])
def test_text_has_no_order_in_time(answers: str, tmp_path: Path) -> None:
    """Neither a few different texts have one, nor many."""
    days = [f"{day:02d}.{month:02d}.2024" for month in (1, 2) for day in range(1, 29)]
    rows = [[day, answer] for day in days for answer in answers]
    rows[1][1] = "n"
    write_csv(tmp_path / "a.csv", rows, ("since", "churned"))
    with pytest.raises(BadData, match=r"a number; write `types: \{since: date\}`"):
        _split(tmp_path, by={"time": "since"})
    source = {"csv": "a.csv", "target": "churned", "types": {"since": "date"}}
    rule = {"by": {"time": "since"}}
    found = split_rows(load_table(tmp_path, source, split=rule), SplitRule.model_validate(rule))
    n_test = round(0.15 * len(rows))
    assert found["test"].tolist() == list(range(len(rows) - n_test, len(rows)))
