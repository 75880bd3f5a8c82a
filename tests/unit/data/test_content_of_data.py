"""Data are known by their content, wherever they are, and are hashed once."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.data_requests import data_request
from tests.unit.data.tables import rows_of_churn, write_csv
from tuner.training.data import content, preparing
from tuner.training.data.content import Hashes
from tuner.training.data.dataset import load_dataset
from tuner.training.data.preparing import PreparedData, prepare
from tuner.training.data.source import BadData
from tuner.training.data.table_source import TableSource

CHURN = {"csv": "churn.csv", "target": "churned"}


def _prepared(folder: Path, home: Path, source: Any = CHURN, **rules: Any) -> PreparedData:
    return prepare(data_request(dict(source), folder, **rules), home)


@pytest.fixture
def first(tmp_path: Path) -> PreparedData:
    (tmp_path / "here").mkdir()
    write_csv(tmp_path / "here" / "churn.csv", rows_of_churn())
    return _prepared(tmp_path / "here", tmp_path / "home")


def test_another_path_is_the_same_data(first: PreparedData, tmp_path: Path) -> None:
    (tmp_path / "there" / "deep").mkdir(parents=True)
    shutil.copy(tmp_path / "here" / "churn.csv", tmp_path / "there" / "deep" / "x.csv")
    moved = _prepared(tmp_path / "there", tmp_path / "home", {**CHURN, "csv": "deep/x.csv"})
    assert moved == first
    elsewhere = _prepared(tmp_path / "here", tmp_path / "another home")
    assert elsewhere.fingerprint == first.fingerprint


def test_another_content_or_recipe_is_other_data(first: PreparedData, tmp_path: Path) -> None:
    here, home = tmp_path / "here", tmp_path / "home"
    others = [
        _prepared(here, home, {**CHURN, "drop": ["id"]}),
        _prepared(here, home, {**CHURN, "types": {"id": "category"}}),
        _prepared(here, home, split={"seed": 1}),
        _prepared(here, home, prepare={"numbers": "robust"}),
    ]
    rows = rows_of_churn(61)
    write_csv(here / "churn.csv", rows)
    others.append(_prepared(here, home))
    fingerprints = {each.fingerprint for each in (first, *others)}
    assert len(fingerprints) == 6
    assert len({each.folder for each in (first, *others)}) == 6
    assert (first.n_rows, others[-1].n_rows) == (60, 61)


TABLE = {"x": [*range(40)], "w": [1.0] * 40, "y": ["a", "b"] * 20}


@pytest.mark.parametrize(
    "change",
    [
        {"w": [2.0] + [1.0] * 39},
        {"y": ["b", "a"] * 20},
        {"y": ["a", "c"] * 20},
        {"x": [*range(39), 99]},
    ],
)
def test_every_value_of_a_callable_counts(change: Any, tmp_path: Path) -> None:
    source = {"python": "d.py:load", "target": "y", "weight": "w"}
    found = [
        prepare(data_request(source, tmp_path), tmp_path, lambda name, folder, t=table: lambda: t)
        for table in (TABLE, {**TABLE, **change})
    ]
    assert found[0].fingerprint != found[1].fingerprint
    assert found[0].folder != found[1].folder
    renamed = {("z" if name == "x" else name): values for name, values in TABLE.items()}
    other = prepare(data_request(source, tmp_path), tmp_path, lambda name, folder: lambda: renamed)
    assert other.folder != found[0].folder


def test_defaults_that_are_written_out_are_the_same_data(
    first: PreparedData, tmp_path: Path
) -> None:
    rules: list[dict[str, Any]] = [
        {"prepare": {"categories": {"one_hot": 100}}},
        {"task": "classification"},
        {"split": {"validation": 0.15, "test": 0.15, "by": "stratify", "seed": 0}},
    ]
    for rule in rules:
        again = _prepared(tmp_path / "here", tmp_path / "home", **rule)
        assert again.fingerprint == first.fingerprint, rule
    source = {**CHURN, "drop": ["id", "age"], "encoding": "UTF-8"}
    turned = {**CHURN, "drop": ["age", "id"]}
    prints = {_prepared(tmp_path / "here", tmp_path, each).fingerprint for each in (source, turned)}
    assert len(prints) == 1


def test_a_file_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_csv(tmp_path / "churn.csv", rows_of_churn())
    real = TableSource.load

    def load(source: TableSource) -> Any:
        table = real(source)
        write_csv(tmp_path / "churn.csv", rows_of_churn(70))
        return table

    monkeypatch.setattr(TableSource, "load", load)
    with pytest.raises(BadData, match="the data changed while they were read"):
        _prepared(tmp_path, tmp_path / "home")
    assert [p.name for p in (tmp_path / "home").iterdir()] == ["hashes.json"]


def test_the_order_of_files_counts_and_their_names_do_not(tmp_path: Path) -> None:
    rows = rows_of_churn()
    for names in (("a", "b"), ("x", "y")):
        folder = tmp_path / names[0]
        folder.mkdir()
        write_csv(folder / f"{names[0]}.csv", rows[:20])
        write_csv(folder / f"{names[1]}.csv", rows[20:])
    source = {**CHURN, "csv": "*.csv"}
    home = tmp_path / "home"
    found = [_prepared(tmp_path / name, home, source).fingerprint for name in ("a", "x")]
    assert found[0] == found[1]
    (tmp_path / "a" / "a.csv").rename(tmp_path / "a" / "c.csv")
    assert _prepared(tmp_path / "a", home, source).fingerprint != found[0]


def test_a_file_is_hashed_once_until_it_changes(tmp_path: Path) -> None:
    file, known = tmp_path / "a.csv", tmp_path / "hashes.json"
    file.write_text("one")
    right = Hashes(known).of([file])
    stored = json.loads(known.read_text())
    (key,) = stored
    known.write_text(json.dumps({key: "as stored"}))
    assert Hashes(known).of([file]) == {"0": "as stored"}
    assert Hashes(known, is_verified=True).of([file]) == right
    assert Hashes(known).of([file]) == right
    file.write_text("two")
    assert Hashes(known).of([file]) != right
    known.write_text("damaged")
    assert Hashes(known).of([tmp_path / "a.csv"])["0"]


def test_all_files_of_large_data_stay_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "_MAX_OTHERS", 3)
    for name in "abcdefgh":
        (tmp_path / name).write_text(name)
    large, others = [tmp_path / name for name in "abcde"], [tmp_path / name for name in "fgh"]
    known = tmp_path / "hashes.json"
    right = Hashes(known).of(large)
    keys = list(json.loads(known.read_text()))
    known.write_text(json.dumps(dict.fromkeys(keys, "as stored")))
    assert set(Hashes(known).of(large).values()) == {"as stored"}
    Hashes(known).of(others)
    kept = json.loads(known.read_text())
    assert list(kept)[:3] == keys[2:]
    assert len(kept) == 6
    assert Hashes(known).of([*large[:2], large[0]]) == {
        "0": right["0"],
        "1": right["1"],
        "2": right["0"],
    }


def test_preparations_that_nothing_used_for_a_month_go(first: PreparedData, tmp_path: Path) -> None:
    home = tmp_path / "home"
    old = first.folder.stat().st_mtime - 31 * 86_400
    os.utime(first.folder, (old, old))
    assert _prepared(tmp_path / "here", home).folder == first.folder
    assert first.folder.stat().st_mtime > old + 86_400, "a use keeps it"
    os.utime(first.folder, (old, old))
    _prepared(tmp_path / "here", home, split={"seed": 3})
    assert not first.folder.exists()


def test_a_worker_that_opens_a_preparation_keeps_it(first: PreparedData, tmp_path: Path) -> None:
    old = first.folder.stat().st_mtime - 31 * 86_400
    os.utime(first.folder, (old, old))
    load_dataset(first.folder, "cpu")
    preparing.remove_unused(tmp_path / "home")
    assert first.folder.exists()


def test_a_removal_that_fails_leaves_no_folder_with_a_name(
    first: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = first.folder.stat().st_mtime - 31 * 86_400
    os.utime(first.folder, (old, old))

    def fail(folder: Path) -> None:
        raise PermissionError(str(folder))

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", fail)
        preparing.remove_unused(tmp_path / "home")
    assert not first.folder.exists()
    assert _prepared(tmp_path / "here", tmp_path / "home") == first


def test_what_remains_of_a_folder_does_not_block_it(first: PreparedData, tmp_path: Path) -> None:
    (first.folder / "meta.json").unlink()
    assert _prepared(tmp_path / "here", tmp_path / "home") == first
    assert (first.folder / "meta.json").exists()


def test_a_second_run_reads_no_table(
    first: PreparedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparing, "_build", None)
    assert _prepared(tmp_path / "here", tmp_path / "home") == first
