"""Rows that a model predicts, in every form, and the sentences about those that it cannot."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from PIL import Image

from tests.data_requests import data_request
from tests.unit.data.tables import COLUMNS, load_table, rows_of_churn, write_csv
from tuner.errors import BadRows
from tuner.study_file.data.prepare import PrepareRule
from tuner.training.data.preparation import Pixels, Preparation, load_preparation
from tuner.training.data.preparing import prepare
from tuner.training.data.rows import columns_of, pixels_of

ROWS = rows_of_churn()


@pytest.fixture(scope="module")
def churn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Preparation, Any]:
    folder = tmp_path_factory.mktemp("rows")
    write_csv(folder / "churn.csv", ROWS)
    table = load_table(folder, {"csv": "churn.csv", "target": "churned", "drop": ["id"]})
    fitted = Preparation.fit(table, np.arange(40), PrepareRule())
    return folder, fitted, fitted.inputs(table.columns)


def _inputs(rows: Any, fitted: Preparation, *, is_lenient: bool = False) -> Any:
    return fitted.inputs(columns_of(rows, fitted, is_lenient=is_lenient))


def test_rows_in_every_form_give_the_inputs_of_the_training(churn: Any) -> None:
    folder, fitted, expected = churn
    frame = pd.DataFrame(ROWS, columns=list(COLUMNS)).replace({"": None})
    frame["age"] = frame["age"].astype(float)
    pyarrow.parquet.write_table(pa.Table.from_pandas(frame), folder / "churn.parquet")
    dicts = frame.to_dict("records")
    columns = {name: frame[name].tolist() for name in reversed(COLUMNS)}
    forms = [
        folder / "churn.csv",
        str(folder / "churn.parquet"),
        frame,
        frame[list(reversed(COLUMNS))].assign(more=1),
        pa.Table.from_pandas(frame),
        dicts,
        columns,
    ]
    for rows in forms:
        assert np.array_equal(_inputs(rows, fitted), expected), type(rows)
    assert np.array_equal(_inputs(dicts[:1], fitted), expected[:1])


def _row(**changes: Any) -> list[dict[str, Any]]:
    row = {"age": 30, "plan": "pro", "since": "2024-05-01"} | changes
    return [{"age": 30, "plan": "pro", "since": "2024-05-01"}, row]


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([{"age": 30, "plan": "pro"}], "the rows lack column 'since'"),
        (
            [{"age": 30, "paln": "pro", "since": "2024-05-01"}],
            "lack column 'plan'; did you mean paln",
        ),
        (_row(plan="ultra"), "row 1, counted from 0, has a category that no training row has in"),
        (_row(plan=None), "row 1, counted from 0, has no value in column 'plan'"),
        (_row(since=None), r"row 1 of 2, .*\(row 1: feature 'since year'\)"),
        (_row(age=1e300), r"row 1 of 2, .*NaN, infinity or a number too large"),
        (_row(age=float("inf")), "'age' holds infinity in row 2"),
        ([{"age": "old", "plan": "pro", "since": "2024-05-01"}], "'age' is no number in row 1"),
        (
            [{"age": 30, "plan": "pro", "since": "soon"}],
            "'since' holds text that is no date in",
        ),
        ("nothing.csv", "there is no file nothing.csv"),
        (
            np.ones((2, 3)),
            "column 'plan' is a category, so that an array of numbers cannot hold it",
        ),
        (np.ones((2, 4)), "rows of 3 features are needed, not 2x4"),
        ([["a", "b", "c"]], "no array of numbers"),
        (object(), "no array of numbers"),
        (pd.DataFrame({"Plan": ["pro"], "Age": [3], "Since": ["x"]}), "the rows lack column 'age'"),
        ([{"age": 3}, {"age": "x"}], "column 'age' holds values of several types"),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, str) else None,
)
def test_rows_that_cannot_be_predicted(rows: Any, sentence: str, churn: Any) -> None:
    with pytest.raises(BadRows, match=sentence) as found:
        _inputs(rows, churn[1])
    assert "\n" not in str(found.value)


def test_a_lenient_call_fills_in_and_ignores(churn: Any) -> None:
    fitted = churn[1]
    plain = _inputs(_row(), fitted)[0]
    lenient = _inputs(_row(plan="ultra", since=None), fitted, is_lenient=True)[1]
    is_plan = np.array([name.startswith("plan") for name in fitted.features])
    assert plain[is_plan].sum() == 1
    assert lenient[is_plan].sum() == 0
    assert np.isfinite(lenient).all()
    with pytest.raises(BadRows, match="too large"):
        _inputs(_row(age=1e300), fitted, is_lenient=True)


def test_a_number_that_training_rows_lacked_may_be_missing(churn: Any) -> None:
    fitted = churn[1]
    gap = _inputs(_row(age=None), fitted)[1]
    assert gap[fitted.features.index("age is missing")] == 1


def _fitted(folder: Path, text: str, **keys: Any) -> Preparation:
    """The preparation of a table with the target y; it keeps the form of the file."""
    (folder / "a.csv").write_text(text)
    asked = data_request({"csv": "a.csv", "target": "y", **keys}, folder)
    return load_preparation(prepare(asked, folder / "home").folder)


def _of_file(folder: Path, text: str, fitted: Preparation) -> Any:
    (folder / "new.csv").write_text(text)
    return _inputs(folder / "new.csv", fitted)


def test_a_category_of_digits_stays_text(tmp_path: Path) -> None:
    text = "zip,y\n" + "".join(f"{('007', 'A12')[n % 2]},{n % 2}\n" for n in range(40))
    fitted = _fitted(tmp_path, text)
    assert _of_file(tmp_path, "zip\n007\n007\n", fitted).tolist() == [[1, 0], [1, 0]]
    words = "on,y\n" + "".join(f"{('True', 'maybe')[n % 2]},{n % 2}\n" for n in range(40))
    fitted = _fitted(tmp_path, words)
    assert _of_file(tmp_path, "on\nTrue\n", fitted).tolist() == [[1, 0]]


def test_dates_have_the_format_of_the_training(tmp_path: Path) -> None:
    days = [f"{day:02d}/03/2024" for day in (3, 5, 25)]
    text = "d,y\n" + "".join(f"{days[n % 3]},{n % 2}\n" for n in range(60))
    fitted = _fitted(tmp_path, text, types={"d": "date"})
    single = _of_file(tmp_path, "d\n05/03/2024\n", fitted)
    assert np.isfinite(single).all()
    with pytest.raises(BadRows, match="text that is no date"):
        _of_file(tmp_path, "d\n03/25/2024\n", fitted)


def test_a_model_knows_the_form_of_its_files(tmp_path: Path) -> None:
    text = "x;k;y\n" + "".join(f"{n},5;{'ab'[n % 2]};{n % 2}\n" for n in range(40))
    fitted = _fitted(tmp_path, text, delimiter=";", decimal=",")
    assert fitted.form == {"delimiter": ";", "encoding": "utf-8", "decimal": ","}
    assert _of_file(tmp_path, "x;k\n1,5;a\n", fitted).shape == (1, 3)


def test_an_empty_line_of_a_single_column_is_a_row(tmp_path: Path) -> None:
    text = "x,y\n" + "".join(f"{n if n % 5 else ''},{n % 2}\n" for n in range(40))
    fitted = _fitted(tmp_path, text)
    assert _of_file(tmp_path, "x\n1\n\n3\n", fitted)[:, 1].tolist() == [0, 1, 0]


def test_images_in_every_form(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (4, 6, 6, 3), dtype=np.uint8)
    inner = pixels.transpose(0, 3, 1, 2)
    empty = Preparation.fit(_image_table(inner), np.arange(4), PrepareRule())
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    files = [tmp_path / f"{number}.png" for number in range(4)]
    for rows in (pixels, pixels.astype(float), inner.reshape(4, -1), files, tmp_path):
        assert np.array_equal(pixels_of(rows, empty), inner), type(rows)
    assert np.array_equal(pixels_of(files[0], empty), inner[:1])
    for rows, sentence in (
        (pixels[:, :5], r"images of the shape \(6, 6, 3\) are needed, not \(5, 6, 3\)"),
        (pixels * 2.0, "pixels must be whole numbers from 0 to 255"),
        (pixels / 255, "pixels must be whole numbers from 0 to 255"),
        (tmp_path / "more", "images cannot be read"),
    ):
        with pytest.raises(BadRows, match=sentence):
            pixels_of(rows, empty)


def _image_table(pixels_NCHW: Any) -> Any:
    from tuner.study_file.data.sources import ColumnType
    from tuner.training.data.table import Column, Table

    target = Column(
        name="class",
        kind=ColumnType.CATEGORY,
        values_N=np.arange(len(pixels_NCHW)) % 2,
        categories=("a", "b"),
    )
    return Table(name="photos", columns=(), target=target, pixels_NCHW=pixels_NCHW)


def test_channels_are_scaled_by_their_training_pixels() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (9, 2, 5, 4), dtype=np.uint8)
    fitted = Pixels.fit(pixels)
    assert np.allclose(fitted.mean_C, pixels.mean((0, 2, 3)))
    assert np.allclose(fitted.scale_C, pixels.std((0, 2, 3)))
    assert Pixels.fit(pixels * 0).scale_C.tolist() == [1, 1]
