"""What each source reads, and how its columns are typed."""

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from PIL import Image

from tests.unit.data.tables import COLUMNS, load_table, opened, request, rows_of_churn, write_csv
from tuner.study_file.data.sources import ColumnType
from tuner.study_file.params.trainer_params import Task
from tuner.training.data.source import BadData
from tuner.training.data.table import Table

CHURN = {"csv": "churn.csv", "target": "churned"}


def _same(one: Table, other: Table) -> bool:
    columns = [*zip([*one.columns, one.target], [*other.columns, other.target], strict=True)]
    return all(
        (a.name, a.kind, a.categories) == (b.name, b.kind, b.categories)
        and np.array_equal(a.values_N, b.values_N, equal_nan=a.values_N.dtype.kind == "f")
        for a, b in columns
    )


@pytest.fixture
def churn(tmp_path: Path) -> Table:
    write_csv(tmp_path / "churn.csv", rows_of_churn())
    return load_table(tmp_path, CHURN)


def test_columns_have_types(churn: Table) -> None:
    kinds = {column.name: column.kind.value for column in churn.columns}
    assert kinds == {"id": "number", "age": "number", "plan": "category", "since": "date"}
    plan = churn.columns[2]
    assert plan.categories == ("basic", "plus", "pro")
    assert [plan.categories[n] for n in plan.values_N[:5]] == [r[2] for r in rows_of_churn()[:5]]
    assert churn.columns[1].is_missing_N.sum() == 9
    assert (churn.task, churn.target.categories) == (Task.CLASSIFICATION, ("no", "yes"))


def test_the_same_table_in_every_form(churn: Table, tmp_path: Path) -> None:
    rows = rows_of_churn()
    text = (tmp_path / "churn.csv").read_bytes()
    (tmp_path / "churn.csv.gz").write_bytes(gzip.compress(text))
    (tmp_path / "bom.csv").write_bytes(b"\xef\xbb\xbf" + text)
    (tmp_path / "wide.csv").write_bytes(text.decode().encode("utf-16"))
    (tmp_path / "german.csv").write_bytes(text.replace(b",", b";"))
    (tmp_path / "quoted.csv").write_bytes(text.replace(b"plus", b'"plus"'))
    for first, last in ((0, 25), (25, 60)):
        write_csv(tmp_path / f"part{first:02d}.csv", rows[first:last])
    arrow = pa.csv.read_csv(tmp_path / "churn.csv")
    pyarrow.parquet.write_table(arrow, tmp_path / "churn.parquet")
    forms: list[dict[str, Any]] = [
        {"csv": "churn.csv.gz"},
        {"csv": "bom.csv"},
        {"csv": "wide.csv", "encoding": "utf-16"},
        {"csv": "german.csv", "delimiter": ";"},
        {"csv": "quoted.csv"},
        {"csv": "part*.csv"},
    ]
    for form in forms:
        assert _same(churn, load_table(tmp_path, {**CHURN, **form})), form
    parquet = {"parquet": "churn.parquet", "target": "churned"}
    assert _same(churn, load_table(tmp_path, parquet))


def test_a_column_has_one_type_in_all_files(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", [["007", n % 2] for n in range(20)], ("zip", "y"))
    write_csv(tmp_path / "b.csv", [["A12", n % 2] for n in range(20)], ("zip", "y"))
    write_csv(tmp_path / "test.csv", [["012", n % 2] for n in range(20)], ("zip", "y"))
    table = load_table(
        tmp_path, {"csv": "[ab].csv", "target": "y"}, split={"test": {"csv": "test.csv"}}
    )
    assert table.columns[0].categories == ("007", "012", "A12")
    types = {"zip": "category"}
    table = load_table(tmp_path, {"csv": "a.csv", "target": "y", "types": types})
    assert table.columns[0].categories == ("007",)


def test_a_late_line_break_in_quotes_is_read(tmp_path: Path) -> None:
    rows = "".join(f"{n},abcdefghijklmnop,{n % 2}\n" for n in range(60_000))
    (tmp_path / "a.csv").write_text(f'x,k,y\n{rows}1,"a\nb",1\n')
    table = load_table(tmp_path, {"csv": "a.csv", "target": "y"})
    assert (table.n_rows, table.columns[1].categories[0]) == (60_001, "a\nb")


def test_a_comma_may_be_the_decimal_point(tmp_path: Path) -> None:
    text = "x;y\n" + "".join(f"{n},5;{n % 2}\n" for n in range(40))
    (tmp_path / "a.csv").write_bytes(text.replace("\n", "\r\n").encode())
    table = load_table(tmp_path, {"csv": "a.csv", "target": "y", "delimiter": ";", "decimal": ","})
    assert table.columns[0].kind is ColumnType.NUMBER
    assert table.columns[0].values_N[:2].tolist() == [0.5, 1.5]


def test_a_cell_in_quotes_may_hold_line_breaks(tmp_path: Path) -> None:
    cells = ['"a\nb"', '"c, ""d"""', "e"]
    text = "k,y\n" + "".join(f"{cells[n % 3]},{n % 2}\n" for n in range(90))
    (tmp_path / "a.csv").write_text(text)
    table = load_table(tmp_path, {"csv": "a.csv", "target": "y"})
    assert table.columns[0].categories == ("a\nb", 'c, "d"', "e")


def test_a_path_may_be_relative_to_a_folder_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "disk").mkdir()
    write_csv(tmp_path / "disk" / "churn.csv", rows_of_churn())
    monkeypatch.setenv("TUNER_DATA", str(tmp_path / "disk"))
    assert load_table(tmp_path / "studies", CHURN).n_rows == 60


def _load_from(folder: Path, returned: Any, **keys: Any) -> Table:
    return opened(request(folder, {"python": "d.py:load", **keys}), lambda: returned).load()


def test_a_callable_may_return_any_frame(churn: Table, tmp_path: Path) -> None:
    frame = pd.DataFrame(rows_of_churn(), columns=list(COLUMNS)).replace({"": None})
    frame["age"] = frame["age"].astype(float)
    keys = {"target": "churned", "types": {"since": "date"}}
    rows = frame.to_dict("records")
    columns = {name: frame[name].tolist() for name in COLUMNS}
    for returned in (frame, pa.Table.from_pandas(frame), rows, columns):
        assert _same(churn, _load_from(tmp_path, returned, **keys)), type(returned)


def test_a_callable_may_return_arrays(tmp_path: Path) -> None:
    x, y = np.arange(120.0).reshape(40, 3), np.arange(40) % 3
    table = _load_from(tmp_path, (x, y))
    assert [column.name for column in table.columns] == ["x0", "x1", "x2"]
    assert (table.task, table.target.categories) == (Task.CLASSIFICATION, ("0", "1", "2"))
    assert np.array_equal(table.numbers_NF(), x)
    table = _load_from(tmp_path, (x.tolist(), (y + 0.5).tolist()))
    assert table.task is Task.REGRESSION


def test_types_are_the_files_where_it_names_them(tmp_path: Path) -> None:
    rows = [[8000 + n % 3, f"{n % 9 + 1:02d}.{n % 12 + 1:02d}.2025", "yes" if n % 2 else "", n % 4]
            for n in range(40)]  # fmt: skip
    write_csv(tmp_path / "a.csv", rows, ("zip", "day", "on", "y"))
    types = {"zip": "category", "day": "date", "on": "boolean"}
    table = load_table(tmp_path, {"csv": "a.csv", "target": "y", "types": types})
    zips, day, on = table.columns
    assert zips.categories == ("8000", "8001", "8002")
    assert day.kind is ColumnType.DATE
    assert not day.is_missing_N.any()
    assert on.kind is ColumnType.BOOLEAN
    assert (on.is_missing_N.sum(), np.nansum(on.values_N)) == (20, 20)


@pytest.mark.parametrize(
    ("cells", "task", "n_classes"),
    [
        (["a", "b"], "classification", 2),
        (["true", "false"], "classification", 2),
        ([*range(20)], "classification", 20),
        ([*range(21)], "regression", 0),
        (["1.0", "2.0"], "classification", 2),
        (["0.5", "1.0"], "regression", 0),
    ],
    ids=str,
)
def test_the_task_follows_from_the_target(
    cells: list[Any], task: str, n_classes: int, tmp_path: Path
) -> None:
    rows = [[n, cells[n % len(cells)]] for n in range(84)]
    write_csv(tmp_path / "a.csv", rows, ("x", "y"))
    table = load_table(tmp_path, {"csv": "a.csv", "target": "y"})
    assert (table.task.value, len(table.target.categories)) == (task, n_classes)


def test_the_file_may_name_the_task(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", [[n, n % 5] for n in range(40)], ("x", "y"))
    source = {"csv": "a.csv", "target": "y"}
    table = load_table(tmp_path, source, task="regression")
    assert table.target.kind is ColumnType.NUMBER
    write_csv(tmp_path / "a.csv", [[n, n % 30] for n in range(90)], ("x", "y"))
    table = load_table(tmp_path, source, task="classification")
    assert len(table.target.categories) == 30


def test_an_index_that_a_program_has_saved_can_be_dropped(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": range(40), "y": [n % 2 for n in range(40)]})
    frame.to_csv(tmp_path / "a.csv")
    table = load_table(tmp_path, {"csv": "a.csv", "target": "y", "drop": ["column 1"]})
    assert [column.name for column in table.columns] == ["x"]


def test_images_are_resized_and_their_folders_are_classes(tmp_path: Path) -> None:
    for number, name in enumerate(("cat", "dog")):
        (tmp_path / "photos" / name / "more").mkdir(parents=True)
        for place in ("1.png", "more/2.jpg"):
            Image.new("RGB", (20, 10), (number * 200, 0, 50)).save(
                tmp_path / "photos" / name / place
            )
        (tmp_path / "photos" / name / "notes.txt").write_text("no image")
    table = load_table(tmp_path, {"images": "photos", "size": 8})
    assert table.pixels_NCHW is not None
    assert table.pixels_NCHW.shape == (4, 3, 8, 8)
    assert table.target.categories == ("cat", "dog")
    assert table.target.values_N.tolist() == [0, 0, 1, 1]
    assert table.pixels_NCHW[3, 0].min() > 190
    grey = load_table(tmp_path, {"images": "photos", "size": 8, "colour": "grey"})
    assert grey.pixels_NCHW is not None
    assert grey.pixels_NCHW.shape == (4, 1, 8, 8)


def write_idx(path: Path, array: Any) -> None:
    """Write an array of bytes as MNIST is stored."""
    head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    content = head + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def test_the_files_of_mnist(tmp_path: Path) -> None:
    folder = tmp_path / "mnist"
    folder.mkdir()
    pixels = np.arange(5 * 4 * 3).reshape(5, 4, 3)
    write_idx(folder / "train-images-idx3-ubyte.gz", pixels)
    write_idx(folder / "train-labels-idx1-ubyte", np.array([7, 1, 7, 1, 0]))
    write_idx(folder / "t10k-images.idx3-ubyte", pixels[:2])
    write_idx(folder / "t10k-labels.idx1-ubyte", np.array([1, 7]))
    table = load_table(tmp_path, {"idx": "mnist"})
    assert table.pixels_NCHW is not None
    assert np.array_equal(table.pixels_NCHW[:5, 0], pixels)
    assert (table.n_rows, table.n_test, table.target.categories) == (7, 2, ("0", "1", "7"))
    assert table.target.values_N.tolist() == [2, 1, 2, 1, 0, 1, 2]


def test_an_archive_of_arrays(tmp_path: Path) -> None:
    pixels = np.zeros((6, 4, 4, 3), np.uint8)
    np.savez(tmp_path / "a.npz", x=pixels, y=np.array(list("ababab")))
    table = load_table(tmp_path, {"npz": "a.npz"})
    assert table.pixels_NCHW is not None
    assert table.pixels_NCHW.shape == (6, 3, 4, 4)
    np.savez(tmp_path / "b.npz", x=np.eye(6), y=np.linspace(0, 1, 6)[:, None])
    assert load_table(tmp_path, {"npz": "b.npz"}).task is Task.REGRESSION


def test_a_share_of_test_rows_beside_files_of_test_rows_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mnist").mkdir()
    for name in ("train", "t10k"):
        write_idx(tmp_path / "mnist" / f"{name}-images-idx3-ubyte", np.zeros((4, 2, 2)))
        write_idx(tmp_path / "mnist" / f"{name}-labels-idx1-ubyte", np.array([0, 1, 0, 1]))
    assert load_table(tmp_path, {"idx": "mnist"}).n_test == 4
    with pytest.raises(BadData, match="remove `test:` from `split:`"):
        load_table(tmp_path, {"idx": "mnist"}, split={"test": 0.4})
