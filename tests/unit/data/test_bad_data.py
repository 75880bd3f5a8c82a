"""Data that no study can use: one sentence with the place and the fix, and nothing written."""

import gzip
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from PIL import Image

from tests.data_requests import data_request
from tuner.cgroups import Cgroups, MemoryBytes
from tuner.training.data.preparing import prepare
from tuner.training.data.source import BadData

CHURN = {"csv": "churn.csv", "target": "churned"}
GOOD = "age,plan,churned\n" + "".join(f"{n},{'ab'[n % 2]},{'yn'[n % 3 > 0]}\n" for n in range(40))


def _text(content: str | bytes, name: str = "churn.csv") -> Callable[[Path], None]:
    data = content.encode() if isinstance(content, str) else content
    return lambda folder: (folder / name).write_bytes(data) and None


def _changed(old: str, new: str) -> Callable[[Path], None]:
    assert old in GOOD
    return _text(GOOD.replace(old, new, 1))


def _column(name: str, *values: Any) -> Callable[[Path], None]:
    """The good table with another column, whose values repeat."""
    rows = GOOD.splitlines()
    more = [name, *(str(values[n % len(values)]) for n in range(40))]
    return _text("\n".join(f"{row},{cell}" for row, cell in zip(rows, more, strict=True)) + "\n")


def _two_files(second: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / "a.csv").write_text(GOOD)
        (folder / "b.csv").write_text(second)

    return write


def _images(folder: Path) -> None:
    for name in ("cat", "dog"):
        (folder / "photos" / name).mkdir(parents=True)
        for number in range(10):
            Image.new("RGB", (8, 8), (number, 0, 0)).save(
                folder / "photos" / name / f"{number}.png"
            )
    (folder / "photos" / "cat" / "3.png").write_bytes(b"\x89PNG broken")
    (folder / "photos" / "dog" / "4.png").write_bytes(b"")


def _empty_class(folder: Path) -> None:
    _images(folder)
    (folder / "photos" / "bird").mkdir()


def _idx(
    images: bytes, labels: bytes, name: str = "train-images-idx3-ubyte"
) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / "mnist").mkdir()
        (folder / "mnist" / name).write_bytes(images)
        (folder / "mnist" / "train-labels-idx1-ubyte").write_bytes(labels)

    return write


def _npz(**arrays: Any) -> Callable[[Path], None]:
    return lambda folder: np.savez(folder / "data.npz", **arrays)


def _head(n_dimensions: int, *sizes: int, kind: int = 8) -> bytes:
    return bytes([0, 0, kind, n_dimensions]) + struct.pack(f">{len(sizes)}I", *sizes)


def _parquet(folder: Path) -> None:
    nested = pa.table({"age": [1, 2], "tags": [[1], [2]], "churned": ["y", "n"]})
    pyarrow.parquet.write_table(nested, folder / "churn.parquet")


NPZ, IDX, PHOTOS = {"npz": "data.npz"}, {"idx": "mnist"}, {"images": "photos"}
X, Y = np.zeros((40, 3)), np.arange(40) % 2
# name: (what writes the data, the source, further keys, a part of the sentence)
CASES: dict[str, tuple[Any, dict[str, Any], dict[str, Any], str]] = {
    "no file": (_text(GOOD, "churns.csv"), CHURN, {}, "no file .*did you mean churns.csv?"),
    "no file of a pattern": (_text(GOOD), {**CHURN, "csv": "data/*.csv"}, {}, "no file matches"),
    "a folder": (lambda f: (f / "churn.csv").mkdir(), CHURN, {}, "is a folder; name its files"),
    "no column": (_text(GOOD), {**CHURN, "target": "churn"}, {}, "did you mean churned?"),
    "no dropped column": (_text(GOOD), {**CHURN, "drop": ["ages"]}, {}, "`drop:`.*mean age?"),
    "no weight": (_text(GOOD), {**CHURN, "weight": "w"}, {}, "`weight:` names column 'w'"),
    "no typed column": (_text(GOOD), {**CHURN, "types": {"zip": "category"}}, {}, "`types:`"),
    "no split column": (
        _text(GOOD), CHURN, {"split": {"by": {"group": "customer"}}}, "`split:` names column"
    ),
    "ragged row": (
        _changed("7,b,n\n", "7,b\n"), CHURN, {}, r"line 9: 2 cells, and the header has 3"
    ),
    "long row": (_changed("7,b,n\n", "7,b,n,x\n"), CHURN, {}, r"line 9: 4 cells"),
    "open quote": (_changed("7,b", '7,"b'), CHURN, {}, r"churn.csv, line \d+: "),
    "latin-1": (
        _text(GOOD.replace("a,y", "ä,y").encode("latin-1")), CHURN, {}, "not utf-8; set `encoding:`"
    ),
    "latin-1 in the header": (
        _text(GOOD.replace("age", "jähre").encode("latin-1")), CHURN, {}, "not utf-8; set"
    ),
    "utf-16": (_text(GOOD.encode("utf-16")), CHURN, {}, "set `encoding: utf-16`"),
    "unknown encoding": (_text(GOOD), {**CHURN, "encoding": "utf-9"}, {}, "unknown encoding"),
    "empty": (_text(""), CHURN, {}, "churn.csv is empty"),
    "header only": (_text("age,plan,churned\n"), CHURN, {}, "a header and no rows"),
    "no names": (_text(",,\n1,a,y\n"), CHURN, {}, "the first line names no columns"),
    "a column without a name": (
        _text("age,,churned\n1,a,y\n"), CHURN, {},
        r"column 2 has no name in the first line, .*`drop: \[column 2\]`",
    ),
    "two of a name": (_text("age,age,churned\n1,2,y\n"), CHURN, {}, "two columns are named 'age'"),
    "semicolons": (
        _text(GOOD.replace(",", ";")), CHURN, {}, 'set `delimiter: ";"`'
    ),
    "long delimiter": (_text(GOOD), {**CHURN, "delimiter": "ab"}, {}, "must be one character"),
    "not gzip": (_text(GOOD, "churn.csv.gz"), {**CHURN, "csv": "churn.csv.gz"}, {}, "not gzip"),
    "cut gzip": (
        _text(gzip.compress(GOOD.encode())[:-20], "churn.csv.gz"),
        {**CHURN, "csv": "churn.csv.gz"}, {}, "damaged or not gzip",
    ),
    "parquet as csv": (_text(b"PAR1xxxx"), CHURN, {}, "is a Parquet file"),
    "csv as parquet": (
        _text(GOOD, "churn.parquet"), {"parquet": "churn.parquet", "target": "churned"}, {},
        "is not a Parquet file",
    ),
    "nested values": (
        _parquet, {"parquet": "churn.parquet", "target": "churned"}, {}, "'tags' holds list"
    ),
    "all missing": (_column("gap", "", "NA"), CHURN, {}, "column 'gap' has no values"),
    "free text": (
        _text("note,churned\n" + "".join(f"text {n},{'yn'[n % 2]}\n" for n in range(40))),
        CHURN, {}, "text with 40 different values in 40 rows; add it to `drop:`",
    ),
    "text for numbers": (
        _column("price", "1", "2", "3 EUR"), {**CHURN, "types": {"price": "number"}}, {},
        "column 'price' is no number in row 3",
    ),
    "infinity": (
        _column("x", "1", "2", "inf"), CHURN, {}, "'x' holds infinity in row 3 and 12 more"
    ),
    "no boolean": (
        _column("on", "yes", "perhaps"), {**CHURN, "types": {"on": "boolean"}}, {},
        "'on' is no boolean in row 2 and 19 more",
    ),
    "no date": (
        _column("d", "2025-01-01", "x"), {**CHURN, "types": {"d": "date"}}, {},
        "text that is no date in row 2 and 19 more",
    ),
    "an ambiguous date": (
        _column("d", "03/04/2025"), {**CHURN, "types": {"d": "date"}}, {}, "day/month and as month"
    ),
    "no target in some rows": (
        _changed("7,b,n\n", "7,b,\n"), CHURN, {}, "'churned' is missing in row 8; remove"
    ),
    "a single class": (_text(GOOD.replace(",y", ",n")), CHURN, {}, "has a single class"),
    "a constant target": (
        _column("y", "0.5"), {**CHURN, "target": "y"}, {}, "the same value in all rows"
    ),
    "a date as the target": (
        _column("y", "2025-01-01", "2025-01-02"), {**CHURN, "target": "y"}, {}, "is a date; choose"
    ),
    "regression of text": (_text(GOOD), CHURN, {"task": "regression"}, "is no number"),
    "too rare a class": (
        _changed("7,b,n", "7,b,x"), CHURN, {}, "the rarest of 3 classes has too few"
    ),
    "too few rows": (_text("age,churned\n1,y\n2,n\n"), CHURN, {}, "too few"),
    "only the target": (_text(GOOD), {**CHURN, "drop": ["age", "plan"]}, {}, "no column is left"),
    "a negative weight": (
        _column("w", "1", "-1"), {**CHURN, "weight": "w"}, {}, "missing or negative in row 2"
    ),
    "no weight above 0": (_column("w", "0"), {**CHURN, "weight": "w"}, {}, "is 0 in all rows"),
    "no weight above 0 in the training rows": (
        _text("x,w,fold,y\n" + "".join(
            f"{n},{int(n % 4 > 1)},{('train', 'train', 'validation', 'test')[n % 4]},{n // 4 % 2}\n"
            for n in range(40)
        )),
        {"csv": "churn.csv", "target": "y", "weight": "w"},
        {"split": {"by": {"column": "fold"}}}, "the weight is 0 in all training rows",
    ),
    "two groups": (
        _column("g", "a", "b"), CHURN, {"split": {"by": {"group": "g"}}}, "has 2 groups"
    ),
    "no group in some rows": (
        _column("g", "a", "b", "c", ""), CHURN, {"split": {"by": {"group": "g"}}},
        "missing in row 4",
    ),
    "words of a split": (
        _column("fold", "train", "test", "x"), CHURN, {"split": {"by": {"column": "fold"}}},
        "must hold train, validation or test, and it holds 1 other",
    ),
    "no validation rows": (
        _column("fold", "train", "test"), CHURN, {"split": {"by": {"column": "fold"}}},
        "leaves no validation rows",
    ),
    "another column in a second file": (
        _two_files(GOOD.replace("plan", "tarif")), {**CHURN, "csv": "*.csv"}, {},
        "b.csv lacks column 'plan'",
    ),
    "one column more in a second file": (
        _two_files(GOOD.replace("churned\n", "churned,x\n").replace("y\n", "y,1\n").replace(
            "n\n", "n,1\n")),
        {**CHURN, "csv": "*.csv"}, {}, "b.csv has another column, 'x'",
    ),
    "no test file": (_text(GOOD), CHURN, {"split": {"test": {"csv": "test.csv"}}}, "no file"),
    "no folder of images": (lambda f: None, PHOTOS, {}, "there is no folder"),
    "a folder without images": (
        lambda f: (f / "photos").mkdir(), PHOTOS, {}, "no images in folders of their classes"
    ),
    "broken images": (_images, PHOTOS, {}, "2 of 20 images cannot be read: cat/3.png, dog/4.png"),
    "a class without images": (_empty_class, PHOTOS, {}, "1 of 3 folders .* hold no images"),
    "a file for a folder": (_text("x", "photos"), PHOTOS, {}, "is a file; name the folder"),
    "not idx": (_idx(b"hello world", _head(1, 2) + b"\0\1"), IDX, {}, "is no IDX file"),
    "idx cut off": (
        _idx(_head(3, 2, 2, 2) + b"\0" * 7, _head(1, 2) + b"\0\1"), IDX, {}, "holds 7 bytes"
    ),
    "idx of floats": (
        _idx(_head(3, 1, 1, 1, kind=13) + b"\0" * 4, _head(1, 1) + b"\0"), IDX, {}, "is no IDX file"
    ),
    "labels of other rows": (
        _idx(_head(3, 2, 1, 1) + b"\0\1", _head(1, 3) + b"\0\1\0"), IDX, {}, "has 2 images and"
    ),
    "no images in idx": (_idx(b"", b"", "others"), IDX, {}, "nor train-images-idx3-ubyte.gz"),
    "no archive": (_text("x", "data.npz"), NPZ, {}, "is no archive of arrays"),
    "no y": (_npz(x=X), NPZ, {}, "no array 'y'; it holds x"),
    "another length": (_npz(x=X, y=Y[:30]), NPZ, {}, "x has 40 rows and y 30"),
    "float images": (_npz(x=np.zeros((40, 4, 4)), y=Y), NPZ, {}, "images must be 8-bit numbers"),
    "five channels": (_npz(x=np.zeros((40, 4, 4, 5), np.uint8), y=Y), NPZ, {}, "1 or 3 channels"),
    "infinite array": (_npz(x=X + np.inf, y=Y), NPZ, {}, "x holds infinity in row 1 and 39 more"),
    "a target without values": (_npz(x=X, y=np.full(40, np.nan)), NPZ, {}, "y is missing in row 1"),
    "changed scaling of images": (
        _npz(x=np.zeros((40, 4, 4), np.uint8), y=Y), NPZ, {"prepare": {"numbers": "none"}},
        "`prepare:` has no effect on images",
    ),
    "objects": (
        _npz(x=np.array([["a", 1]] * 40, dtype=object), y=Y), NPZ, {}, "holds Python objects"
    ),
}  # fmt: skip


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 60


@pytest.mark.parametrize("name", CASES)
def test_bad_data_is_one_sentence_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    write, source, rules, sentence = CASES[name]
    folder = tmp_path / "study"
    folder.mkdir()
    write(folder)
    with pytest.raises(BadData, match=sentence) as found:
        prepare(data_request(source, folder, **rules), tmp_path / "home")
    assert "\n" not in str(found.value)
    left = [name for name in os.listdir(tmp_path / "home") if name != "hashes.json"]
    assert left == []


def test_a_sentence_holds_no_cell(tmp_path: Path) -> None:
    secret = "4111 1111 1111 1111"
    for old, new in (("7,b,n", f"7,b,n,{secret}"), ("7,b,n", f'7,"{secret},n')):
        (tmp_path / "churn.csv").write_text(GOOD.replace(old, new, 1))
        with pytest.raises(BadData) as found:
            prepare(data_request(CHURN, tmp_path), tmp_path / "home")
        assert secret not in str(found.value)
    (tmp_path / "churn.csv").write_text(GOOD.replace("7,b", f"{secret},b", 1))
    asked = data_request({**CHURN, "types": {"age": "number"}}, tmp_path)
    with pytest.raises(BadData) as found:
        prepare(asked, tmp_path / "home")
    assert secret not in str(found.value)


LARGE: dict[str, tuple[Callable[[Path], None], dict[str, Any]]] = {
    "a table": (_text(GOOD), CHURN),
    "images": (_images, PHOTOS),
    "arrays": (_npz(x=X, y=Y), NPZ),
    "idx": (_idx(_head(3, 2, 1, 1) + b"\0\1", _head(1, 2) + b"\0\1"), IDX),
}


@pytest.mark.parametrize("name", LARGE)
def test_data_that_do_not_fit_in_memory_are_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, source = LARGE[name]
    write(tmp_path)
    monkeypatch.setattr(Cgroups, "memory", lambda self: MemoryBytes(total=10**9, free=50))
    with pytest.raises(BadData, match="GB of memory to prepare"):
        prepare(data_request(source, tmp_path), tmp_path / "home")


@pytest.mark.parametrize(
    ("returned", "sentence"),
    [
        (None, "returned NoneType; return a table"),
        (3, "returned int; return a table"),
        ([1, 2], "returned list; return a table"),
        ({}, "has no rows"),
        ({"a": [1, 2], "churned": [1]}, "the columns of the table have different lengths"),
        ({"a": [object()]}, "column 'a' holds values of several types"),
        ((X, Y), "returned arrays, which have no columns; remove `target:`"),
    ],
)
def test_a_callable_that_returns_anything_else(
    returned: Any, sentence: str, tmp_path: Path
) -> None:
    asked = data_request({"python": "data.py:load", "target": "churned"}, tmp_path)
    with pytest.raises(BadData, match=sentence):
        prepare(asked, tmp_path / "home", lambda name, folder: lambda: returned)


@pytest.mark.parametrize(
    ("key", "value"), [("drop", ("a",)), ("weight", "a"), ("types", {"a": "number"})]
)
def test_keys_of_columns_are_refused_for_arrays(key: str, value: Any, tmp_path: Path) -> None:
    asked = data_request({"python": "data.py:load", key: value}, tmp_path)
    with pytest.raises(BadData, match=f"have no columns; remove `{key}:`"):
        prepare(asked, tmp_path / "home", lambda name, folder: lambda: (X, Y))
